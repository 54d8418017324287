// Signing and verifying a compact JWS under Ed25519 with nothing in between: the same bytes as jose makes and
// takes, for the one kind that is signed thousands of times a second (docs/decisions/0002-frames-without-jose.md).
// Header, kind and key were checked by the caller.
import { ProtocolError } from './errors.ts'
import type { SigningKey, VerifyKey } from './keys.ts'

const curve = 'Ed25519'
const encoder = new TextEncoder()

export const signCompact = async (header: object, payload: string, key: SigningKey): Promise<string> => {
  const signed = `${encodePart(JSON.stringify(header))}.${encodePart(payload)}`
  const signature = await crypto.subtle.sign(curve, key.privateKey, encoder.encode(signed))
  return `${signed}.${Buffer.from(signature).toString('base64url')}`
}

/**
 * @returns the payload
 * @throws ProtocolError `signature-invalid`
 */
export const verifyCompact = async (jws: string, key: VerifyKey): Promise<Uint8Array> => {
  const end = jws.lastIndexOf('.')
  const signature = decodePart(jws.slice(end + 1))
  const signed = encoder.encode(jws.slice(0, end))
  if (!(await crypto.subtle.verify(curve, key.publicKey, signature, signed))) {
    throw new ProtocolError('signature-invalid')
  }
  return decodePart(jws.slice(jws.indexOf('.') + 1, end))
}

const encodePart = (text: string): string => Buffer.from(text).toString('base64url')

/** Buffer's decoder passes over what is not base64url, so the alphabet is checked first. */
const decodePart = (part: string): Uint8Array<ArrayBuffer> => {
  if (!/^[A-Za-z0-9_-]*$/.test(part) || part.length % 4 === 1) throw new ProtocolError('signature-invalid')
  return Buffer.from(part, 'base64url')
}
