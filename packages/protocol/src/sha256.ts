// SHA-256 (FIPS 180-4) over text as UTF-8. How the 32 bytes are written is left to the callers.

const encoder = new TextEncoder()

export const sha256 = async (text: string): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', encoder.encode(text)))
