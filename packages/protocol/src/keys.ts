// Which keys the wire uses and how they are named: Ed25519 for signatures, X25519 for values encrypted to an
// agent, both as JWK (RFC 8037), each named by its thumbprint (RFC 7638). Where keys are kept is left to the
// adapters; nothing here touches a file.
import {
  base64url,
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK
} from 'jose'
import * as z from 'zod'
import { ProtocolError } from './errors.ts'
import { type SessionId, sessionId, type Thumbprint, thumbprint } from './ids.ts'
import { sha256 } from './sha256.ts'

/**
 * 32 bytes in base64url, in their only canonical form: the last character has two unused bits, and a thumbprint
 * is a hash over this text, so that a second spelling of one key would pass for another key.
 */
const bytes32 = z.string().regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/)

/** RFC 8037 section 2. Strict, so that a private key sent by mistake is refused and not kept. */
export const publicJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: bytes32
})
export type PublicJwk = z.infer<typeof publicJwk>

export const privateJwk = publicJwk.extend({ d: bytes32 })
export type PrivateJwk = z.infer<typeof privateJwk>

/** The agent's key for JWE `ECDH-ES`; only its public part ever leaves the host. */
export const encryptionJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('X25519'),
  x: bytes32
})
export type EncryptionJwk = z.infer<typeof encryptionJwk>

export const privateEncryptionJwk = encryptionJwk.extend({ d: bytes32 })
export type PrivateEncryptionJwk = z.infer<typeof privateEncryptionJwk>

export type SigningKey = {
  readonly kid: Thumbprint
  readonly publicJwk: PublicJwk
  readonly privateKey: CryptoKey
}
export type VerifyKey = {
  readonly kid: Thumbprint
  readonly publicJwk: PublicJwk
  readonly publicKey: CryptoKey
}

/** A new Ed25519 key, with its private JWK to be stored (mode 0600) by the caller. */
export const generateSigningKey = async (): Promise<{ key: SigningKey; privateJwk: PrivateJwk }> => {
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const stored = privateJwk.parse(await exportJWK(pair.privateKey))
  return { key: await importSigningKey(stored), privateJwk: stored }
}

/** A new X25519 key, as JWK both ways. */
export const generateEncryptionKey = async (): Promise<{
  publicJwk: EncryptionJwk
  privateJwk: PrivateEncryptionJwk
}> => {
  const pair = await generateKeyPair('ECDH-ES', { crv: 'X25519', extractable: true })
  return {
    publicJwk: encryptionJwk.parse(await exportJWK(pair.publicKey)),
    privateJwk: privateEncryptionJwk.parse(await exportJWK(pair.privateKey))
  }
}

/** @throws ProtocolError `frame-malformed` when it is not an Ed25519 private JWK; the key is not in the message */
export const importSigningKey = async (jwk: unknown): Promise<SigningKey> => {
  const parsed = privateJwk.safeParse(jwk)
  if (!parsed.success) throw new ProtocolError('frame-malformed', 'not an Ed25519 private JWK')
  const { d, ...open } = parsed.data
  return {
    kid: await thumbprintOf(open),
    publicJwk: open,
    privateKey: await importOkp({ ...open, d })
  }
}

/** @throws ProtocolError `frame-malformed` when it is not an Ed25519 public JWK (a private one is refused too) */
export const importVerifyKey = async (jwk: unknown): Promise<VerifyKey> => {
  const parsed = publicJwk.safeParse(jwk)
  if (!parsed.success) throw new ProtocolError('frame-malformed', 'not an Ed25519 public JWK')
  return {
    kid: await thumbprintOf(parsed.data),
    publicJwk: parsed.data,
    publicKey: await importOkp(parsed.data)
  }
}

const importOkp = async (jwk: PublicJwk | PrivateJwk): Promise<CryptoKey> => {
  try {
    const key = await importJWK(jwk, 'EdDSA')
    if (!(key instanceof Uint8Array)) return key
  } catch (cause) {
    throw new ProtocolError('frame-malformed', 'the JWK is not a key', { cause })
  }
  throw new ProtocolError('frame-malformed', 'the JWK is not a key')
}

/** RFC 7638 over {crv, kty, x} with SHA-256, base64url. */
export const thumbprintOf = async (jwk: PublicJwk | EncryptionJwk): Promise<Thumbprint> =>
  thumbprint.parse(await calculateJwkThumbprint({ kty: jwk.kty, crv: jwk.crv, x: jwk.x }, 'sha256'))

/** @param bytes16 16 bytes from a cryptographic source */
export const newNonce = (bytes16: Uint8Array): string => {
  if (bytes16.length !== 16) throw new RangeError('a nonce is made of 16 bytes')
  return base64url.encode(bytes16)
}

/**
 * SHA-256 over the two nonces as they were sent, client's first, in base64url. Both ends compute it, so neither
 * can choose it alone.
 */
export const sessionIdOf = async (clientNonce: string, serverNonce: string): Promise<SessionId> => {
  return sessionId.parse(base64url.encode(await sha256(`${clientNonce}.${serverNonce}`)))
}
