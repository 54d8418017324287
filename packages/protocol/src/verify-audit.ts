// Is the audit what was written, and do the agents' receipts say what it says of them? Needs the entries alone: the
// hashes chain them, a report brings the agent's key with it, and the enrolment before it says whose key that is.
// What nobody can see from the entries is whether the last ones were cut off: the caller compares the head.
import { type AuditEntry, chainStart, hashAuditEntry } from './audit-chain.ts'
import { verifyJws } from './jws.ts'
import { importVerifyKey, publicJwk } from './keys.ts'
import { outcomeText, runReport } from './messages/report.ts'

export type AuditFinding = {
  /** Of the entry where it shows; 0: before the first. */
  number: number
  /** `entry-changed`, `entry-missing`, `receipt-invalid`, `receipt-differs`, `receipt-unknown-key`. */
  code: 'entry-changed' | 'entry-missing' | 'receipt-invalid' | 'receipt-differs' | 'receipt-unknown-key'
  detail: string
}

/** Where the check stands; plain data. */
export type AuditCheck = {
  entries: number
  receipts: number
  /** The last entry read; what comes next has to follow it. */
  head: { number: number; hash: string }
  findings: AuditFinding[]
  /** Thumbprint by agent, as the enrolments that were read say. */
  keys: Readonly<Record<string, string>>
}

export const beginAuditCheck: AuditCheck = {
  entries: 0,
  receipts: 0,
  head: { number: 0, hash: chainStart },
  findings: [],
  keys: {}
}

/** @param entry the one that follows; they come in the order of their numbers, from 1 */
export const checkAuditEntry = async (check: AuditCheck, entry: AuditEntry): Promise<AuditCheck> => {
  const number = await placeOf(check, entry)
  const found = [...(await chainFindings(check, entry, number)), ...(await receiptFindings(check, entry))]
  return {
    entries: check.entries + 1,
    receipts: check.receipts + (entry.evidence === null ? 0 : 1),
    // the hash as it stands there: one changed entry is then one finding, not one for each that follows
    head: { number, hash: entry.hash },
    findings: [...check.findings, ...found],
    keys: keysAfter(check.keys, entry)
  }
}

/** The number that it had when it was hashed, where the number itself was changed. */
const placeOf = async ({ head }: AuditCheck, entry: AuditEntry): Promise<number> => {
  const next = head.number + 1
  if (entry.number === next) return next
  return (await hashAuditEntry(head.hash, { ...entry, number: next })) === entry.hash ? next : entry.number
}

const chainFindings = async (
  { head }: AuditCheck,
  entry: AuditEntry,
  number: number
): Promise<AuditFinding[]> => {
  if (number !== entry.number) {
    const detail = `entry ${number} says that it is number ${entry.number}`
    return [{ number, code: 'entry-changed', detail }]
  }
  if (number !== head.number + 1) {
    const detail = `entry ${number} follows entry ${head.number}: entries between them are missing or out of order`
    return [{ number, code: 'entry-missing', detail }]
  }
  if ((await hashAuditEntry(head.hash, entry)) === entry.hash) return []
  const detail = `entry ${number} does not have the hash of its content and of the entry before it`
  return [{ number, code: 'entry-changed', detail }]
}

const receiptFindings = async ({ keys }: AuditCheck, entry: AuditEntry): Promise<AuditFinding[]> => {
  const { number, evidence, request, actorId } = entry
  if (evidence === null) return []
  const finding = (code: AuditFinding['code'], detail: string): AuditFinding[] => [{ number, code, detail }]
  const jwk = publicJwk.safeParse((request as { agentKey?: unknown } | null)?.agentKey)
  if (!jwk.success) return finding('receipt-invalid', `entry ${number} names no key of the agent`)
  const key = await importVerifyKey(jwk.data)
  const enrolled = keys[actorId]
  if (enrolled !== undefined && enrolled !== key.kid)
    return finding('receipt-unknown-key', `entry ${number} is signed by a key that ${actorId} did not enrol`)
  const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
  const receipt = await verifyJws('receipt', evidence, keyOf, runReport).catch(() => undefined)
  if (receipt === undefined)
    return finding('receipt-invalid', `the receipt of entry ${number} is not signed by the agent's key`)
  const isSame = receipt.command === entry.subject && outcomeText(receipt.outcome) === entry.outcome
  return isSame ? [] : finding('receipt-differs', `entry ${number} says something else than its receipt`)
}

const keysAfter = (
  keys: AuditCheck['keys'],
  { action, actorId, request }: AuditEntry
): AuditCheck['keys'] => {
  const kid = (request as { key?: unknown } | null)?.key
  return action === 'agent.enrol' && typeof kid === 'string' ? { ...keys, [actorId]: kid } : keys
}
