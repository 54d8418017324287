// Enrolment: what a new machine says of itself, and what the controller answers. Whether the token may still be
// used and the host name is free is decided by the controller's core.
import * as z from 'zod'
import { ProtocolError } from '../errors.ts'
import {
  agentId,
  environmentName,
  hostName,
  type InstallationId,
  installationId,
  labels,
  nonce,
  type Thumbprint
} from '../ids.ts'
import { readUnverified, verifyJws } from '../jws.ts'
import { encryptionJwk, type VerifyKey } from '../keys.ts'
import { maxKeyChain, maxTokenBytes } from '../limits.ts'
import { facts } from '../messages/session.ts'
import { verifyKeyChain } from './key.ts'

/** Signed with the agent's new key, which stands in the header. */
export const enrolClaims = z.object({
  installation: installationId,
  /** The join token, as provisioning put it on the machine. */
  token: z.string().max(maxTokenBytes),
  hostName,
  encryptionKey: encryptionJwk,
  facts,
  nonce,
  /** The host's own; those of the token win over them. */
  labels,
  issuedAtMs: z.int()
})
export type EnrolClaims = z.infer<typeof enrolClaims>

export const enrolAnswer = z.object({
  /** The request's: binds the answer to it. */
  nonce,
  agent: agentId,
  environment: environmentName,
  labels,
  /** held: an operator must approve the agent before it gets a session. */
  state: z.enum(['active', 'held']),
  /** All key announcements, oldest first. */
  keyChain: z.array(z.string().max(4096)).min(1).max(maxKeyChain),
  /** Controller time, milliseconds since the epoch. */
  nowMs: z.int()
})
export type EnrolAnswer = z.infer<typeof enrolAnswer>

/**
 * The agent's side: follows the chain in the answer from the trusted key to the current one, then demands that
 * the current key signed the answer.
 * @param asked what the request held, and the key named by the join token
 * @returns the answer and the controller's keys that are trusted from now on, current one last
 * @throws ProtocolError `controller-untrusted`, `nonce-mismatch`, or as `verifyJws`
 */
export const verifyEnrolAnswer = async (
  jws: string,
  asked: { trusted: Thumbprint; nonce: string; installation: InstallationId }
): Promise<{ answer: EnrolAnswer; keys: VerifyKey[] }> => {
  const { keyChain } = readUnverified('enrol-answer', jws, enrolAnswer)
  const keys = await verifyKeyChain(keyChain, asked.trusted, asked.installation)
  const current = keys.at(-1)
  const find = (kid: string): VerifyKey | undefined => (current?.kid === kid ? current : undefined)
  const answer = await verifyJws('enrol-answer', jws, find, enrolAnswer)
  if (answer.nonce !== asked.nonce) throw new ProtocolError('nonce-mismatch')
  return { answer, keys }
}
