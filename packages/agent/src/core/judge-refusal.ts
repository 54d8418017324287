// What a refusal of the controller means for the agent: at enrolment, whether to end (and with which words) or to
// try again; for a session, what to tell the operator. Waiting and logging are left to the loops.
import type { ProtocolErrorCode } from '@longshore/protocol'

export type EnrolVerdict =
  /** Asking again would give the same answer: end, and say what to do. */
  { readonly kind: 'give-up'; readonly advice: string } | { readonly kind: 'try-again' }

const newToken = 'create a new one with `longshore join-token create` and put it on this host'

/** Refusals of an enrolment that asking again does not change, each with what to do. */
const finalRefusals: Partial<Record<ProtocolErrorCode, string>> = {
  expired: `the join token has expired; ${newToken}`,
  'used-up': `the join token has been used as often as it may be; ${newToken}`,
  revoked: `the join token or this host's key has been revoked; ${newToken}, and if the key was revoked remove the data directory first`,
  'unknown-token': `the controller does not know the join token; ${newToken}`,
  'audience-mismatch':
    'the join token belongs to another installation; check LONGSHORE_CONTROLLER_URL and the token',
  'signature-invalid': `the join token was not signed by this controller or was altered; ${newToken}`,
  'key-unknown': `the join token was not signed by this controller; ${newToken}`,
  'type-refused': 'the join token is a token of another kind; create one with `longshore join-token create`',
  'algorithm-refused': `the join token is not of the expected form; ${newToken}`,
  'frame-malformed': `the join token or the request was not understood; ${newToken}, or check that agent and controller fit together`,
  'frame-too-large': `the join token is too large; ${newToken}`,
  'controller-untrusted':
    'whoever answers at LONGSHORE_CONTROLLER_URL does not have the key that the join token names; check the URL and what stands between',
  'nonce-mismatch':
    'the answer belongs to another request; check what stands between this host and the controller',
  'unsupported-version': 'agent and controller speak no common version; install a fitting agent'
}

/** Codes that are not listed (rate-limited, clock-skew, ...) and failures without a code are worth another try. */
export const judgeEnrolRefusal = (code: ProtocolErrorCode | null): EnrolVerdict => {
  const advice = code === null ? undefined : finalRefusals[code]
  return advice === undefined ? { kind: 'try-again' } : { kind: 'give-up', advice }
}

/**
 * @param code of the refusal, or the reason of a `bye`
 * @returns what an operator can do about it; undefined: nothing, the agent comes back by itself
 */
export const adviseSession = (code: string, hostName: string): string | undefined => {
  switch (code) {
    case 'held':
      return `waiting for approval: longshore agents approve ${hostName}`
    case 'revoked':
      return 'this agent was revoked; to let the host in again, remove the data directory and give it a new join token'
    case 'unknown-agent':
      return 'the controller does not know this agent; give the host a new join token and restart the agent'
    case 'audience-mismatch':
      return 'the controller belongs to another installation; check LONGSHORE_CONTROLLER_URL, or remove identity.json to register anew'
    case 'unsupported-version':
      return 'agent and controller speak no common version; install a fitting agent'
    case 'controller-untrusted':
    case 'key-unknown':
      return "whoever answers does not have a key of this agent's controller; check the URL and what stands between"
    case 'duplicate-session':
    case 'replaced':
      return 'another connection uses the same key; if another machine made it (a cloned disk?), remove the data directory of one of them'
    case 'clock-skew':
      return "set the host's clock; the agent goes on with the controller's time"
    default:
      return undefined
  }
}
