// Every way in which the wire can be refused: one class, a stable code each. docs/errors.md has a row per
// code; a test compares both. A code, once released, never changes its meaning.

/** Code -> what it means, for people. The same words stand in docs/errors.md. */
export const protocolErrors = {
  'frame-too-large': 'a frame exceeds the size limit',
  'frame-malformed': 'a frame is not a compact JWS with a JSON payload of the expected shape',
  'signature-invalid': 'a signature does not verify under the expected key',
  'algorithm-refused': 'a JWS names an algorithm other than EdDSA, or carries headers that are not allowed',
  'type-refused': 'a JWS has another `typ` than the place where it was used demands',
  'key-unknown': 'a JWS names a key id that is not known here',
  'session-mismatch': 'a frame belongs to another session',
  'sequence-broken': 'a frame is repeated, missing or out of order',
  'message-unexpected': 'a message is not allowed in this state of the session',
  'audience-mismatch': 'a token or assertion is for another installation',
  expired: 'a token or assertion is past its expiry',
  'used-up': 'a join token has been used as often as it may be',
  revoked: 'the token, the agent or its key has been revoked',
  'unknown-token': 'the token is not known to this controller',
  replayed: 'an assertion with this id has been seen before',
  'clock-skew': 'the clocks of agent and controller differ by more than five minutes',
  'unknown-agent': 'no agent with this key is registered here',
  held: 'the agent waits for approval: another agent has its host name',
  'duplicate-session': 'another live session uses the same key',
  'unsupported-version': 'the peer speaks no version of the protocol that is known here',
  'nonce-mismatch': 'an answer is not bound to the nonce that was sent',
  'rate-limited': 'too many failures from this address; wait before the next try',
  'controller-untrusted': "the controller's key is not the one named by the join token or the key chain",
  silent: 'the peer sent nothing within the silence limit',
  overloaded: 'the peer does not read fast enough'
} as const satisfies Record<string, string>

export type ProtocolErrorCode = keyof typeof protocolErrors

/** Thrown by everything in this package that checks what a peer sent. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolErrorCode

  /** @param detail what was found, without secrets; the meaning of the code is put before it */
  constructor(code: ProtocolErrorCode, detail?: string, options?: ErrorOptions) {
    super(detail === undefined ? protocolErrors[code] : `${protocolErrors[code]}: ${detail}`, options)
    this.code = code
  }
}

export const isProtocolErrorCode = (text: string): text is ProtocolErrorCode =>
  Object.hasOwn(protocolErrors, text)
