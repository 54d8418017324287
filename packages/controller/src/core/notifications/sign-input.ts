// What is signed, and which headers say so: the Standard Webhooks specification 1.0.0, symmetric signatures.
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
// The HMAC itself is computed by the adapter.

/** Base64 behind a prefix by which people recognise it. 32 bytes; the specification asks for 24 to 64. */
export const secretBytes = 32
const prefix = 'whsec_'

/** @param base64 of the key, with padding */
export const formatSecret = (base64: string): string => `${prefix}${base64}`

/** @returns the key as base64. @throws TypeError: it is no secret of a webhook */
export const keyOfSecret = (secret: string): string => {
  if (!secret.startsWith(prefix)) throw new TypeError('a signing secret begins with whsec_')
  return secret.slice(prefix.length)
}

/** Unix time of the try, not of the event: a receiver refuses what is old. */
export const timestampOf = (atMs: number): string => String(Math.floor(atMs / 1000))

/** The very bytes of the body as they are sent. @param id holds no full stop */
export const signInput = (id: string, timestamp: string, body: string): string => `${id}.${timestamp}.${body}`

/** @param signature base64 of HMAC-SHA256 over `signInput` */
export const signedHeaders = (id: string, timestamp: string, signature: string): Record<string, string> => ({
  'webhook-id': id,
  'webhook-timestamp': timestamp,
  'webhook-signature': `v1,${signature}`
})
