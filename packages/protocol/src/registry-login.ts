// Credentials of a registry on their way to one host: a compact JWE (RFC 7516, `ECDH-ES` with A256GCM) that only the
// agent's X25519 key opens, and that counts for one command and one registry. It travels beside the command, never in
// it: what is signed there is kept.
import { CompactEncrypt, type CryptoKey, compactDecrypt, importJWK } from 'jose'
import * as z from 'zod'
import { ProtocolError } from './errors.ts'
import { type CommandId, commandId } from './ids.ts'
import type { EncryptionJwk, PrivateEncryptionJwk } from './keys.ts'
import { maxRegistryNameChars } from './limits.ts'

export const registryLogin = z.strictObject({
  command: commandId,
  /** As registry-name.ts has it. */
  registry: z.string().max(maxRegistryNameChars),
  /** `<token>`: the password is an identity token, as credential helpers have it. */
  username: z.string(),
  password: z.string()
})
export type RegistryLogin = z.infer<typeof registryLogin>

const methods = { alg: 'ECDH-ES', enc: 'A256GCM', typ: 'longshore-login+jwe' } as const

export const sealRegistryLogin = async (login: RegistryLogin, agent: EncryptionJwk): Promise<string> => {
  const key = await importJWK(agent, methods.alg)
  const text = new TextEncoder().encode(JSON.stringify(login))
  return new CompactEncrypt(text).setProtectedHeader(methods).encrypt(key)
}

export type DecryptionKey = CryptoKey

/** For `openRegistryLogin`. @throws ProtocolError `frame-malformed`, without the key */
export const importDecryptionKey = async (jwk: PrivateEncryptionJwk): Promise<DecryptionKey> => {
  const key = await importJWK(jwk, methods.alg).catch(() => undefined)
  if (key === undefined || key instanceof Uint8Array)
    throw new ProtocolError('frame-malformed', 'the JWK is not a key')
  return key
}

/**
 * @param wanted what it has to be for
 * @throws ProtocolError `type-refused`, `frame-malformed`, `audience-mismatch`; never with anything of what is inside
 */
export const openRegistryLogin = async (
  jwe: string,
  key: DecryptionKey,
  wanted: { command: CommandId; registry: string }
): Promise<RegistryLogin> => {
  const { plaintext, protectedHeader } = await decrypt(jwe, key)
  if (protectedHeader.typ !== methods.typ) throw new ProtocolError('type-refused')
  const login = readLogin(plaintext)
  if (login.command === wanted.command && login.registry === wanted.registry) return login
  throw new ProtocolError('audience-mismatch', 'credentials for another command or registry')
}

const decrypt = async (jwe: string, key: DecryptionKey) => {
  try {
    return await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: [methods.alg],
      contentEncryptionAlgorithms: [methods.enc]
    })
  } catch (cause) {
    throw new ProtocolError('frame-malformed', "this key does not open the credentials' JWE", { cause })
  }
}

const readLogin = (plaintext: Uint8Array): RegistryLogin => {
  try {
    return registryLogin.parse(JSON.parse(new TextDecoder().decode(plaintext)))
  } catch {
    // without the cause: its message may quote the secret
    throw new ProtocolError('frame-malformed', 'the JWE holds no credentials')
  }
}
