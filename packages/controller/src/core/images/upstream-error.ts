// How another registry can fail us: a closed set, so that whoever has several sources knows what to do next.
// docs/errors.md has a row per code.
export const upstreamErrors = {
  'registry-unreachable': 'the registry does not answer, or the connection broke off',
  'registry-denied': 'the registry wants another login',
  'registry-unknown': 'the registry does not have the image',
  'registry-busy': 'the registry has failed, or takes no more requests for now',
  'registry-corrupt': 'the registry gave other content than its digest says'
} as const satisfies Record<string, string>
export type UpstreamErrorCode = keyof typeof upstreamErrors

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly code: UpstreamErrorCode

  /** @param detail what was seen, without secrets */
  constructor(code: UpstreamErrorCode, detail: string, options?: ErrorOptions) {
    super(`${upstreamErrors[code]}: ${detail}`, options)
    this.code = code
  }
}

/** 429 and 5xx pass; 401 and 403 do not; 404 is an answer. */
export const codeOfStatus = (status: number): UpstreamErrorCode => {
  if (status === 401 || status === 403) return 'registry-denied'
  if (status === 404) return 'registry-unknown'
  return 'registry-busy'
}
