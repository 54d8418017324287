// What a signature of the wire looks like and in which order it is checked. Every signed thing is a compact JWS
// (RFC 7515) under Ed25519 with a `typ` of its own kind (RFC 8725 section 3.11), so that none passes for another.
// Who may sign what, and whether a signed claim is fresh, is left to the callers.
import { base64url, CompactSign, compactVerify } from 'jose'
import type * as z from 'zod'
import { signCompact, verifyCompact } from './ed25519-compact.ts'
import { ProtocolError } from './errors.ts'
import { importVerifyKey, publicJwk, type SigningKey, type VerifyKey } from './keys.ts'
import { maxCommandBytes, maxFrameBytes, maxJsonDepth, maxTokenBytes } from './limits.ts'

export const jwsKinds = [
  'frame',
  'command',
  'assertion',
  'enrol',
  'enrol-answer',
  'join',
  'api',
  'key',
  'receipt',
  'time',
  'pull',
  'leave'
] as const
export type JwsKind = (typeof jwsKinds)[number]

/** The `typ` header of a kind. A pull token has the claims of a JWT (RFC 7519), so it is called one. */
export const typOf = (kind: JwsKind): string => `longshore-${kind}+${kind === 'pull' ? 'jwt' : 'jws'}`

/** Characters of a compact JWS of the kind; it is ASCII, so these are bytes. */
const maxJwsBytes: Record<JwsKind, number> = {
  frame: maxFrameBytes,
  command: maxCommandBytes,
  receipt: 256 * 1024,
  enrol: 64 * 1024,
  // carries the whole key chain: 64 announcements of 4 KiB at most
  'enrol-answer': 384 * 1024,
  key: 4096,
  assertion: maxTokenBytes,
  join: maxTokenBytes,
  api: maxTokenBytes,
  time: maxTokenBytes,
  pull: 1024,
  leave: maxTokenBytes
}

/** Fixed by us and never taken from a message (RFC 8725 section 3.1). */
const algorithm = 'EdDSA'
const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()

/**
 * Signs a payload. The key is named by its thumbprint, or carried whole with `embedKey` (enrolment only, where
 * the other end cannot know it yet).
 * @throws ProtocolError `frame-too-large` when the result exceeds what the other end accepts of this kind
 */
export const signJws = async (
  kind: JwsKind,
  payload: object,
  key: SigningKey,
  options: { embedKey?: boolean } = {}
): Promise<string> => {
  const named = options.embedKey === true ? { jwk: key.publicJwk } : { kid: key.kid }
  const header = { alg: algorithm, typ: typOf(kind), ...named }
  const text = JSON.stringify(payload)
  const jws =
    kind === 'frame'
      ? await signCompact(header, text, key)
      : await new CompactSign(encoder.encode(text)).setProtectedHeader(header).sign(key.privateKey)
  checkSize(kind, jws)
  return jws
}

/**
 * Checks in this order: size, header, `typ`, key, signature, JSON, schema. Nothing of the payload is looked at
 * before its signature is good.
 * @returns the payload as the schema gives it
 * @throws ProtocolError `frame-too-large`, `frame-malformed`, `algorithm-refused`, `type-refused`, `key-unknown`
 *   or `signature-invalid`
 */
export const verifyJws = async <S extends z.ZodType>(
  kind: JwsKind,
  jws: string,
  keyOf: (kid: string) => VerifyKey | undefined,
  schema: S
): Promise<z.infer<S>> => {
  const { kid } = readHeader(kind, jws, 'kid')
  const key = typeof kid === 'string' ? keyOf(kid) : undefined
  if (key === undefined) throw new ProtocolError('key-unknown')
  const payload = kind === 'frame' ? await verifyCompact(jws, key) : await verifyWithJose(jws, key)
  return parsePayload(payload, schema)
}

/**
 * The same for a JWS that brings its key: the signature then proves possession of that key, not who has it.
 * @throws ProtocolError as `verifyJws`
 */
export const verifyWithEmbeddedKey = async <S extends z.ZodType>(
  kind: 'enrol',
  jws: string,
  schema: S
): Promise<{ payload: z.infer<S>; key: VerifyKey }> => {
  const header = readHeader(kind, jws, 'jwk')
  const jwk = publicJwk.safeParse(header.jwk)
  if (!jwk.success) throw new ProtocolError('key-unknown', 'no Ed25519 public key in the header')
  const key = await importVerifyKey(jwk.data)
  return { payload: parsePayload(await verifyWithJose(jws, key), schema), key }
}

/**
 * Reads a payload WITHOUT checking its signature: size, header, `typ`, JSON and schema only. For the two places
 * where the payload itself says which key to trust and a check follows (a join token that provisioning put on
 * the machine; the key chain in an enrolment answer), and for showing a token to its owner.
 * @throws ProtocolError as `verifyJws`, without `key-unknown` and `signature-invalid`
 */
export const readUnverified = <S extends z.ZodType>(kind: JwsKind, jws: string, schema: S): z.infer<S> => {
  readHeader(kind, jws, 'kid')
  return parsePayload(decodePart(jws.slice(jws.indexOf('.') + 1, jws.lastIndexOf('.'))), schema)
}

type Header = { readonly kid?: unknown; readonly jwk?: unknown }

/** @param named the member that names the key; the other one is refused */
const readHeader = (kind: JwsKind, jws: string, named: 'kid' | 'jwk'): Header => {
  checkSize(kind, jws)
  const end = jws.indexOf('.')
  const dots = jws.split('.', 4).length - 1
  if (end < 1 || dots !== 2) throw new ProtocolError('frame-malformed', 'not a compact JWS')
  const header = parseJson(decodePart(jws.slice(0, end)))
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new ProtocolError('frame-malformed', 'the header is not an object')
  }
  const { alg, typ, kid, jwk, ...others } = header as Record<string, unknown>
  if (alg !== algorithm) throw new ProtocolError('algorithm-refused')
  const refused = Object.keys(others).concat(
    named !== 'kid' && kid !== undefined ? 'kid' : [],
    named !== 'jwk' && jwk !== undefined ? 'jwk' : []
  )
  if (refused.length > 0) throw new ProtocolError('algorithm-refused', 'a header is not allowed here')
  if (typ !== typOf(kind)) throw new ProtocolError('type-refused', `expected ${typOf(kind)}`)
  return { kid, jwk }
}

const checkSize = (kind: JwsKind, jws: string): void => {
  if (jws.length > maxJwsBytes[kind]) {
    throw new ProtocolError(
      'frame-too-large',
      `${jws.length} bytes, at most ${maxJwsBytes[kind]} for ${kind}`
    )
  }
}

const verifyWithJose = async (jws: string, key: VerifyKey): Promise<Uint8Array> => {
  try {
    const { payload } = await compactVerify(jws, key.publicKey, { algorithms: [algorithm] })
    return payload
  } catch (cause) {
    throw new ProtocolError('signature-invalid', undefined, { cause })
  }
}

const decodePart = (part: string): Uint8Array => {
  try {
    return base64url.decode(part)
  } catch (cause) {
    throw new ProtocolError('frame-malformed', 'not base64url', { cause })
  }
}

const parsePayload = <S extends z.ZodType>(payload: Uint8Array, schema: S): z.infer<S> => {
  const parsed = schema.safeParse(parseJson(payload))
  if (parsed.success) return parsed.data
  const first = parsed.error.issues[0]
  // paths are made of field names and positions; values are not repeated, they could be secret
  throw new ProtocolError(
    'frame-malformed',
    first && `at ${first.path.join('.') || 'the top'}: ${first.code}`
  )
}

const parseJson = (utf8: Uint8Array): unknown => {
  try {
    const text = decoder.decode(utf8)
    if (depthOf(text) <= maxJsonDepth) return JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('frame-malformed', 'not JSON in UTF-8', { cause })
  }
  throw new ProtocolError('frame-malformed', `JSON nested deeper than ${maxJsonDepth}`)
}

const quote = 0x22
const backslash = 0x5c

/** Deepest nesting of a JSON text, found without building it; of text that is not JSON, any number. */
export const depthOf = (text: string): number => {
  let depth = 0
  let deepest = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === quote) i = endOfString(text, i)
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth)
    else if (code === 0x7d || code === 0x5d) depth--
  }
  return deepest
}

/** Position of the quote that ends the string begun at `start`; the length of the text when none does. */
const endOfString = (text: string, start: number): number => {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let escapes = 0
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++
    if (escapes % 2 === 0) return end
  }
  return text.length
}
