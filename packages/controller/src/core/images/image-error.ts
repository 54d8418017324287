// Every refusal of the image store. The codes are those of the OCI Distribution Specification 1.1 ("Error Codes"),
// which every client of a registry knows, and of the CNCF registry where the specification has none; those that begin
// with STOR are our own. docs/errors.md has a row per code; a test compares both ways.

/** Code -> HTTP status and what it means. */
export const imageErrors = {
  BLOB_UNKNOWN: { status: 404, title: 'the blob is not stored here' },
  BLOB_UPLOAD_INVALID: { status: 400, title: 'the upload cannot be taken' },
  BLOB_UPLOAD_UNKNOWN: { status: 404, title: 'there is no such upload; it may have expired' },
  DENIED: { status: 403, title: 'the token does not allow this' },
  DIGEST_INVALID: { status: 400, title: 'the content does not have the digest that was named' },
  MANIFEST_BLOB_UNKNOWN: { status: 404, title: 'the manifest refers to content that is not stored here' },
  MANIFEST_INVALID: { status: 400, title: 'the manifest is not valid' },
  MANIFEST_UNKNOWN: { status: 404, title: 'there is no such image' },
  NAME_INVALID: { status: 400, title: 'the repository name is not valid' },
  NAME_UNKNOWN: { status: 404, title: 'there is no such repository' },
  RANGE_INVALID: { status: 416, title: 'the range does not fit what is stored' },
  SIZE_INVALID: { status: 413, title: 'the content is larger than what is taken' },
  STORAGE_FULL: { status: 507, title: 'the controller has no room for the image' },
  STORE_CORRUPT: {
    status: 502,
    title: 'the registry behind the image store gave other content than was stored'
  },
  STORE_UNAVAILABLE: { status: 503, title: 'the registry behind the image store does not answer or refuses' },
  TOOMANYREQUESTS: { status: 429, title: 'too many failures from this address' },
  UNAUTHORIZED: { status: 401, title: 'no valid token was sent' },
  UNAVAILABLE: { status: 503, title: 'the controller cannot answer now' },
  UNKNOWN: { status: 500, title: 'the controller failed' },
  UNSUPPORTED: { status: 405, title: 'the image store does not do this' }
} as const satisfies Record<string, { status: number; title: string }>
export type ImageErrorCode = keyof typeof imageErrors

export class ImageError extends Error {
  override readonly name = 'ImageError'
  readonly code: ImageErrorCode
  readonly status: number

  /** @param detail one sentence for the person who asked; the meaning of the code when there is no more to say */
  constructor(code: ImageErrorCode, detail: string = imageErrors[code].title, options?: ErrorOptions) {
    super(detail, options)
    this.code = code
    this.status = imageErrors[code].status
  }
}
