// What makes the audit a chain: each entry's hash covers its content and the hash before it, so that an entry which
// was changed, taken out or put in is found, and where. Leaves storing to the controller and checking to verify-audit.
import { base64url } from 'jose'
import * as z from 'zod'
import { sha256 } from './sha256.ts'

/** SHA-256 (FIPS 180-4) as base64url without padding. */
export const auditHash = z.string().regex(/^[A-Za-z0-9_-]{43}$/)

/** Strict: a field that is not hashed must not look as if it were. */
export const auditEntry = z.strictObject({
  /** From 1, without a gap. */
  number: z.int().min(1),
  atMs: z.int(),
  actorKind: z.string(),
  actorId: z.string(),
  actorName: z.string(),
  /** Where the request came from; empty for agents and the controller itself. */
  address: z.string(),
  action: z.string(),
  subject: z.string(),
  /** Any JSON; without secrets. */
  request: z.unknown(),
  outcome: z.string(),
  /** What the agent signed (a receipt, compact JWS); null where nobody else vouches. */
  evidence: z.string().nullable(),
  hash: auditHash
})
export type AuditEntry = z.infer<typeof auditEntry>

/** The hash before entry 1. */
export const chainStart = 'A'.repeat(43)

/**
 * What is hashed.
 * @param previous hash of the entry before, `chainStart` for the first
 * @returns JSON array of all fields in the order below
 */
export const auditContent = (previous: string, entry: Omit<AuditEntry, 'hash'>): string =>
  JSON.stringify([
    previous,
    entry.number,
    entry.atMs,
    entry.actorKind,
    entry.actorId,
    entry.actorName,
    entry.address,
    entry.action,
    entry.subject,
    entry.request,
    entry.outcome,
    entry.evidence
  ])

/** @returns SHA-256 of the content, base64url */
export const hashAuditEntry = async (previous: string, entry: Omit<AuditEntry, 'hash'>): Promise<string> =>
  base64url.encode(await sha256(auditContent(previous, entry)))
