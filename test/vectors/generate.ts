// Writes the vectors beside it: `node test/vectors/generate.ts`. Keys, nonces and times are fixed, and Ed25519 is
// deterministic, so that a second run gives the same files. They let an agent in another language be checked.
import { writeFileSync } from 'node:fs'
import { importSigningKey, type JwsKind, jwsKinds, type SigningKey, signJws } from '@longshore/protocol'
import { base64url, CompactEncrypt, CompactSign, importJWK } from 'jose'
import { samplePayloads, testKeys } from './samples.ts'

type Vector = {
  name: string
  /** The place where it is used. */
  kind: JwsKind | 'up-frame'
  jws: string
  /** null: accepted. Else the code of the ProtocolError. */
  code: string | null
}

const controller = await importSigningKey(testKeys.controller)
const stranger = await importSigningKey(testKeys.stranger)
const payloads = samplePayloads(controller.kid)

const signed = (kind: JwsKind, payload: object = payloads[kind], key: SigningKey = controller) =>
  signJws(kind, payload, key, { embedKey: kind === 'enrol' })

/** Signs any header over any bytes: what our own code refuses to make. */
const forge = (header: Record<string, unknown>, payload: string | object, key = controller) =>
  new CompactSign(new TextEncoder().encode(typeof payload === 'string' ? payload : JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'EdDSA', ...header })
    .sign(key.privateKey)

const frameHeader = { typ: 'longshore-frame+jws', kid: controller.kid }
const encode = (value: unknown): string => base64url.encode(JSON.stringify(value))
const nest = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`

const swaps = async (): Promise<Vector[]> => {
  const vectors: Vector[] = []
  for (const made of jwsKinds) {
    const jws = await signed(made)
    for (const used of jwsKinds) {
      if (made === used) vectors.push({ name: `a valid ${made}`, kind: used, jws, code: null })
      else {
        // the header that names the key differs for enrol, which is found before the type
        const isOtherHeader = made === 'enrol' || used === 'enrol'
        const code = isOtherHeader ? 'algorithm-refused' : 'type-refused'
        vectors.push({ name: `a ${made} used as ${used}`, kind: used, jws, code })
      }
    }
  }
  return vectors
}

const [goodHeader = '', goodPayload = '', goodSignature = ''] = (await signed('frame')).split('.')
const frame = payloads.frame
const credential = { registry: 'registry.example.com', jwe: 'a..b.c.d', problem: null }
const withMessages = (messages: object[]) => signed('frame', { ...frame, messages })
const withCredentials = (credentials: object[]) =>
  withMessages([{ type: 'command', jws: 'a.b.c', credentials }])
const logsOpen = {
  type: 'logs.open',
  stream: 1,
  environment: 'staging',
  service: 'api',
  isFollowed: true,
  maxAgeMs: 600_000,
  tail: 100,
  grep: 'ready',
  after: [{ container: '0123456789ab', time: '2026-01-01T00:00:00.000000001Z' }],
  grant: 262_144
}
const logsGrant = { type: 'logs.grant', stream: 1, bytes: 262_144 }
const logsClose = { type: 'logs.close', stream: 1 }
const frames = async (): Promise<Vector[]> =>
  (
    [
      ['a valid frame', `${goodHeader}.${goodPayload}.${goodSignature}`, null],
      ['an unknown field is ignored', await signed('frame', { ...frame, later: 1 }), null],
      ['an empty text', '', 'frame-malformed'],
      ['not a JWS', 'hello', 'frame-malformed'],
      ['two parts', `${goodHeader}.${goodPayload}`, 'frame-malformed'],
      ['four parts', `${goodHeader}.${goodPayload}.${goodSignature}.x`, 'frame-malformed'],
      ['a header that is not base64url', `!!.${goodPayload}.${goodSignature}`, 'frame-malformed'],
      ['a header that is a list', `${encode([])}.${goodPayload}.${goodSignature}`, 'frame-malformed'],
      [
        'unsigned (alg none)',
        `${encode({ alg: 'none', typ: frameHeader.typ })}.${goodPayload}.`,
        'algorithm-refused'
      ],
      [
        'an HMAC under the public key',
        `${encode({ ...frameHeader, alg: 'HS256' })}.${goodPayload}.${goodSignature}`,
        'algorithm-refused'
      ],
      [
        'a header with jku',
        await forge({ ...frameHeader, jku: 'https://a.example' }, frame),
        'algorithm-refused'
      ],
      [
        'a header with its own jwk',
        await forge({ ...frameHeader, jwk: controller.publicJwk }, frame),
        'algorithm-refused'
      ],
      ['a header without typ', await forge({ kid: controller.kid }, frame), 'type-refused'],
      ['a header without kid', await forge({ typ: frameHeader.typ }, frame), 'key-unknown'],
      ["a stranger's frame", await signed('frame', frame, stranger), 'key-unknown'],
      ["a stranger's frame under our kid", await forge(frameHeader, frame, stranger), 'signature-invalid'],
      ['an empty signature', `${goodHeader}.${goodPayload}.`, 'signature-invalid'],
      [
        'another payload under the signature',
        `${goodHeader}.${encode({ ...frame, seq: 2 })}.${goodSignature}`,
        'signature-invalid'
      ],
      ['a payload that is not JSON', await forge(frameHeader, 'frame'), 'frame-malformed'],
      ['a payload nested 33 deep', await forge(frameHeader, nest(33)), 'frame-malformed'],
      ['a payload that is a list', await forge(frameHeader, []), 'frame-malformed'],
      ['sequence number 0', await signed('frame', { ...frame, seq: 0 }), 'frame-malformed'],
      ['a sequence number that is a text', await signed('frame', { ...frame, seq: '1' }), 'frame-malformed'],
      ['a session id of wrong length', await signed('frame', { ...frame, sid: 'x' }), 'frame-malformed'],
      ['no messages', await signed('frame', { ...frame, messages: [] }), 'frame-malformed'],
      [
        '257 messages',
        await signed('frame', { ...frame, messages: Array(257).fill(payloads.ack) }),
        'frame-malformed'
      ],
      [
        'a log is opened, granted more, and closed',
        await withMessages([logsOpen, logsGrant, logsClose]),
        null
      ],
      [
        'a log is opened with a text to search that is empty',
        await withMessages([{ ...logsOpen, grep: '' }]),
        'frame-malformed'
      ],
      [
        'more of a log is granted than may be at once',
        await withMessages([{ ...logsGrant, bytes: 262_145 }]),
        'frame-malformed'
      ],
      ['a command with credentials', await withCredentials([credential]), null],
      [
        'a command whose credentials the controller lacks',
        await withCredentials([{ ...credential, jwe: null, problem: 'it cannot open them' }]),
        null
      ],
      [
        'a command with credentials of 9 registries',
        await withCredentials(Array(9).fill(credential)),
        'frame-malformed'
      ],
      [
        'a command with credentials that say no registry',
        await withCredentials([{ ...credential, registry: undefined }]),
        'frame-malformed'
      ],
      [
        'an unknown message',
        await signed('frame', { ...frame, messages: [{ type: 'dance' }] }),
        'frame-malformed'
      ],
      [
        'an up message in a down frame',
        await signed('frame', { ...frame, messages: [payloads.hello] }),
        'frame-malformed'
      ]
    ] as const
  ).map(([name, jws, code]) => ({ name, kind: 'frame', jws, code }))

const upgrades = async (): Promise<Vector[]> => {
  const { 'command to upgrade': command, 'receipt of an upgrade': receipt } = payloads
  const { image } = command.body
  const { outcome } = receipt
  const malformed = 'frame-malformed'
  const withBody = (change: object) => signed('command', { ...command, body: { ...command.body, ...change } })
  const withResult = (change: object) =>
    signed('receipt', { ...receipt, outcome: { ...outcome, result: { ...outcome.result, ...change } } })
  return (
    [
      ['a command to upgrade the agent', 'command', await withBody({}), null],
      [
        'an upgrade from the registry, as nothing else is said',
        'command',
        await withBody({ sources: undefined }),
        null
      ],
      [
        'an upgrade to an image that no digest pins',
        'command',
        await withBody({ image: { ...image, digest: undefined } }),
        malformed
      ],
      ['an upgrade of no number', 'command', await withBody({ release: 0 }), malformed],
      ['an upgrade by a spec', 'command', await withBody({ spec: {} }), malformed],
      ['a receipt of an upgrade', 'receipt', await withResult({}), null],
      ['a receipt of an upgrade from nothing', 'receipt', await withResult({ former: undefined }), malformed]
    ] as const
  ).map(([name, kind, jws, code]) => ({ name, kind, jws, code }))
}

const tokens = async (): Promise<Vector[]> => {
  const { d: _, ...withoutD } = testKeys.controller
  const enrolHeader = { typ: 'longshore-enrol+jws' }
  return [
    {
      name: 'an enrolment that embeds a private key',
      kind: 'enrol',
      jws: await forge({ ...enrolHeader, jwk: testKeys.controller as never }, payloads.enrol),
      code: 'key-unknown'
    },
    {
      name: "an enrolment under another's key",
      kind: 'enrol',
      jws: await forge({ ...enrolHeader, jwk: withoutD }, payloads.enrol, stranger),
      code: 'signature-invalid'
    },
    {
      name: 'an enrolment without its key',
      kind: 'enrol',
      jws: await forge(enrolHeader, payloads.enrol),
      code: 'key-unknown'
    },
    {
      name: 'a command with a field that is not known',
      kind: 'command',
      jws: await signed('command', { ...payloads.command, later: 1 }),
      code: 'frame-malformed'
    },
    ...(await upgrades()),
    {
      name: 'a receipt that says how traffic moved',
      kind: 'receipt',
      jws: await signed('receipt', payloads['receipt with traffic']),
      code: null
    },
    {
      name: 'a receipt of a stage with its source',
      kind: 'receipt',
      jws: await signed('receipt', payloads['receipt of a stage with sources']),
      code: null
    },
    {
      name: 'a receipt of a stage from a source that nobody knows',
      kind: 'receipt',
      jws: await signed('receipt', {
        ...payloads['receipt of a stage with sources'],
        outcome: {
          ...payloads['receipt of a stage with sources'].outcome,
          result: { ...payloads['receipt of a stage with sources'].outcome.result, source: { kind: 'peer' } }
        }
      }),
      code: 'frame-malformed'
    },
    {
      name: 'a receipt of a plan with notices',
      kind: 'receipt',
      jws: await signed('receipt', payloads['receipt of a plan']),
      code: null
    },
    {
      name: 'a receipt with a gap of less than nothing',
      kind: 'receipt',
      jws: await signed('receipt', {
        ...payloads.receipt,
        outcome: {
          ...payloads['receipt with traffic'].outcome,
          result: {
            ...payloads['receipt with traffic'].outcome.result,
            traffic: { switchMs: 1, gapMs: -1, drainMs: null, closed: { requests: 0, upgraded: 0 } }
          }
        }
      }),
      code: 'frame-malformed'
    },
    {
      name: 'a join token with a use count of 0',
      kind: 'join',
      jws: await signed('join', { ...payloads.join, uses: 0 }),
      code: 'frame-malformed'
    },
    {
      name: 'an API token without an id',
      kind: 'api',
      jws: await signed('api', { ...payloads.api, id: undefined }),
      code: 'frame-malformed'
    },
    {
      name: 'a join token above 7.5 KiB',
      kind: 'join',
      jws: await forge(
        { typ: 'longshore-join+jws', kid: controller.kid },
        { ...payloads.join, pad: 'x'.repeat(6000) }
      ),
      code: 'frame-too-large'
    }
  ]
}

const messages = async (): Promise<Vector[]> =>
  Promise.all(
    payloads.upMessages.map(async ({ name, message, code }) => ({
      name,
      kind: 'up-frame' as const,
      jws: await signed('frame', { ...frame, messages: [message] }),
      code
    }))
  )

const publicOf = ({ kty, crv, x }: typeof testKeys.agentEncryption | typeof testKeys.ephemeral) =>
  importJWK({ kty, crv, x }, 'ECDH-ES')
const agentKey = publicOf(testKeys.agentEncryption)
/** Encrypts anything under any header. The ephemeral key and the vector (12 bytes) are fixed, for these files alone. */
const encrypt = async (header: object, content: object, to = agentKey): Promise<string> => {
  const epk = await importJWK(testKeys.ephemeral, 'ECDH-ES', { extractable: true })
  if (epk instanceof Uint8Array) throw new TypeError('not a key pair')
  const encryption = new CompactEncrypt(new TextEncoder().encode(JSON.stringify(content)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', typ: 'longshore-login+jwe', ...header })
    .setKeyManagementParameters({ epk })
    .setInitializationVector(new Uint8Array(12))
  // a wrapped one would be random
  if ('alg' in header) encryption.setContentEncryptionKey(new Uint8Array(32))
  return encryption.encrypt(await to)
}

const logins = async () => {
  const { login } = payloads
  const good = await encrypt({}, login)
  return (
    [
      ['credentials', good, null],
      ['an identity token', await encrypt({}, { ...login, username: '<token>' }), null],
      [
        'credentials for another command',
        await encrypt({}, { ...login, command: 'cmd_00000000000000000002' }),
        'audience-mismatch'
      ],
      [
        'credentials of another registry',
        await encrypt({}, { ...login, registry: 'docker.io' }),
        'audience-mismatch'
      ],
      ['a field that is not known', await encrypt({}, { ...login, later: 1 }), 'frame-malformed'],
      ['a JWE of another kind', await encrypt({ typ: 'JWE' }, login), 'type-refused'],
      ['AES of 128 bits', await encrypt({ enc: 'A128GCM' }, login), 'frame-malformed'],
      ['a wrapped key', await encrypt({ alg: 'ECDH-ES+A256KW' }, login), 'frame-malformed'],
      ["another agent's key", await encrypt({}, login, publicOf(testKeys.ephemeral)), 'frame-malformed'],
      ['another end', `${good.slice(0, -4)}AAAA`, 'frame-malformed'],
      ['not a JWE', 'a.b.c', 'frame-malformed']
    ] as const
  ).map(([name, jwe, code]) => ({ name, jwe, code }))
}
const writeLogins = async (): Promise<void> => {
  const { agentEncryption } = testKeys
  const file = { keys: { agentEncryption }, login: payloads.login, vectors: await logins() }
  writeFileSync(new URL('logins.json', import.meta.url), `${JSON.stringify(file, null, 2)}\n`)
}

const write = (name: string, vectors: Vector[]): void => {
  const { controller, stranger } = testKeys
  const file = { keys: { controller, stranger }, vectors }
  writeFileSync(new URL(`${name}.json`, import.meta.url), `${JSON.stringify(file, null, 2)}\n`)
}
write('kinds', await swaps())
write('frames', await frames())
write('tokens', await tokens())
write('messages', await messages())
await writeLogins()
