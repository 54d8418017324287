// Registers the host: sends the join token under the agent's own key, and trusts nobody who cannot sign with the
// key that the token names. Waits as long as trying again can help; ends the agent where it cannot.
import {
  decideReconnect,
  type EncryptionJwk,
  type EnrolClaims,
  type Facts,
  joinClaims,
  newNonce,
  ProtocolError,
  readUnverified,
  type SigningKey,
  signJws,
  verifyEnrolAnswer
} from '@longshore/protocol'
import * as z from 'zod'
import { adviseSession, judgeEnrolRefusal } from './core/judge-refusal.ts'
import { AgentExit } from './exit-codes.ts'
import type { Identity } from './identity.ts'
import type { Ask, HttpAnswer, LifeSigns, Log } from './link.ts'
import { parseJson } from './parse-json.ts'
import type { Clock } from './ports.ts'
import { readProblem } from './read-problem.ts'

export type EnrolPorts = {
  ask: Ask
  clock: Clock
  log: Log
  randomBytes: (count: number) => Uint8Array
  random: () => number
  signs: LifeSigns
}
export type EnrolRequest = {
  token: string
  hostName: string
  labels: Record<string, string>
  facts: Facts
  signing: SigningKey
  encryption: EncryptionJwk
}

const enrolBody = z.object({ answer: z.string() })

type Attempt = { kind: 'enrolled'; identity: Identity } | { kind: 'retry'; why: string }

/**
 * Tries until the controller has registered this key. The same key gives the same agent, so a lost answer is no loss.
 * @throws AgentExit `not-enrolled` when trying again cannot help; the signal's reason when aborted
 */
export const enrol = async (
  ports: EnrolPorts,
  request: EnrolRequest,
  signal: AbortSignal
): Promise<Identity> => {
  const claims = readToken(request.token)
  let attempt = 0
  for (;;) {
    signal.throwIfAborted()
    ports.signs.turnsWithin(0)
    const result = await tryToEnrol(ports, request, claims)
    if (result.kind === 'enrolled') return result.identity
    const next = decideReconnect({ attempt, lastSessionMs: null, reason: 'lost', random: ports.random() })
    attempt = next.attempt
    ports.log.warn({ why: result.why, delayMs: next.delayMs }, 'not registered yet; trying again')
    // a boot that waits for its units must not wait for a person or the controller
    ports.signs.ready(`not registered yet: ${result.why}`)
    ports.signs.turnsWithin(next.delayMs)
    await pause(ports.clock, next.delayMs, signal)
  }
}

/** Rejects with the signal's reason as soon as it is aborted. */
export const pause = (clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const abort = (): void => {
      cancel()
      reject(signal.reason)
    }
    const cancel = clock.after(delayMs, () => {
      signal.removeEventListener('abort', abort)
      resolve()
    })
    signal.addEventListener('abort', abort, { once: true })
  })

type TokenClaims = z.infer<typeof joinClaims>

/** Only its owner's machine reads it here, so nothing rests on its signature: the controller checks that. */
const readToken = (token: string): TokenClaims => {
  try {
    return readUnverified('join', token, joinClaims)
  } catch (cause) {
    const why = cause instanceof ProtocolError ? cause.message : 'it cannot be read'
    throw new AgentExit(
      'not-enrolled',
      `the join token is not valid: ${why}; check that it was copied whole`,
      { cause }
    )
  }
}

const tryToEnrol = async (
  ports: EnrolPorts,
  request: EnrolRequest,
  claims: TokenClaims
): Promise<Attempt> => {
  const nonce = newNonce(ports.randomBytes(16))
  const payload: EnrolClaims = {
    installation: claims.installation,
    token: request.token,
    hostName: request.hostName,
    encryptionKey: request.encryption,
    facts: request.facts,
    nonce,
    labels: request.labels,
    issuedAtMs: ports.clock.nowMs()
  }
  const jws = await signJws('enrol', payload, request.signing, { embedKey: true })
  let answer: HttpAnswer
  try {
    answer = await ports.ask('POST', '/v1/agents/enrol', { request: jws })
  } catch (error) {
    return { kind: 'retry', why: `the controller does not answer: ${describe(error)}` }
  }
  return answer.status >= 200 && answer.status < 300
    ? judgeAnswer(ports, answer, request, claims, nonce)
    : judgeRefusal(answer)
}

const judgeRefusal = (answer: HttpAnswer): Attempt => {
  const { code, detail } = readProblem(answer)
  const verdict = judgeEnrolRefusal(code)
  if (verdict.kind === 'try-again')
    return { kind: 'retry', why: code === null ? detail : `${code}: ${detail}` }
  throw new AgentExit(
    'not-enrolled',
    `registration refused (${code}): ${detail}. What to do: ${verdict.advice}`
  )
}

const judgeAnswer = async (
  ports: EnrolPorts,
  answer: HttpAnswer,
  request: EnrolRequest,
  claims: TokenClaims,
  nonce: string
): Promise<Attempt> => {
  const { installation, key: trusted } = claims
  const body = enrolBody.safeParse(parseJson(answer.body))
  if (!body.success) return { kind: 'retry', why: 'the answer is not that of a controller' }
  try {
    const verified = await verifyEnrolAnswer(body.data.answer, { trusted, nonce, installation })
    const { agent, environment, labels, keyChain, state } = verified.answer
    const fields = { agent, environment, hostName: request.hostName, state }
    ports.log.info(
      fields,
      state === 'held' ? (adviseSession('held', request.hostName) ?? 'held') : 'registered'
    )
    return { kind: 'enrolled', identity: { installation, agent, environment, labels, trusted, keyChain } }
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    const verdict = judgeEnrolRefusal('controller-untrusted')
    const advice = verdict.kind === 'give-up' ? ` What to do: ${verdict.advice}` : ''
    throw new AgentExit(
      'not-enrolled',
      `the answer cannot be trusted (${cause.code}): ${cause.message}.${advice}`,
      {
        cause
      }
    )
  }
}

const describe = (error: unknown): string => {
  if (!(error instanceof Error)) return 'unknown reason'
  // several addresses were tried: the message is empty, the reasons are inside
  if (error instanceof AggregateError) return error.errors.map(describe).join('; ')
  return error.message
}
