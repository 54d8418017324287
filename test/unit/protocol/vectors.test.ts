// Every vector is accepted, or refused with its code.
import { readFileSync } from 'node:fs'
import {
  apiClaims,
  assertionClaims,
  command,
  downFrame,
  enrolAnswer,
  enrolClaims,
  importVerifyKey,
  type JwsKind,
  joinClaims,
  keyAnnouncement,
  leaveClaims,
  ProtocolError,
  pullClaims,
  runReport,
  timeClaims,
  upFrame,
  verifyJws,
  verifyWithEmbeddedKey
} from '@longshore/protocol'
import t from 'tap'
import * as z from 'zod'

const vectorFile = z.object({
  keys: z.object({
    controller: z.object({ kty: z.string(), crv: z.string(), x: z.string(), d: z.string() })
  }),
  vectors: z.array(
    z.object({ name: z.string(), kind: z.string(), jws: z.string(), code: z.string().nullable() })
  )
})
const schemas = {
  frame: downFrame,
  'up-frame': upFrame,
  command,
  assertion: assertionClaims,
  'enrol-answer': enrolAnswer,
  join: joinClaims,
  api: apiClaims,
  key: keyAnnouncement,
  receipt: runReport,
  time: timeClaims,
  pull: pullClaims,
  leave: leaveClaims
} as const
const isKind = (kind: string): kind is keyof typeof schemas => Object.hasOwn(schemas, kind)

const codeOf = async (work: Promise<unknown>): Promise<string | null> => {
  try {
    await work
    return null
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}

const files = ['kinds', 'frames', 'tokens', 'messages']
for (const name of [...files, ...files.map((one) => `previous/${one}`)]) {
  t.test(`gives every vector of ${name}.json its code`, async (t) => {
    const url = new URL(`../../vectors/${name}.json`, import.meta.url)
    const { keys, vectors } = vectorFile.parse(JSON.parse(readFileSync(url, 'utf8')))
    const { d: _, ...open } = keys.controller
    const key = await importVerifyKey(open)
    const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
    t.ok(vectors.length > 5)
    for (const { name, kind, jws, code } of vectors) {
      if (kind === 'enrol') {
        t.equal(await codeOf(verifyWithEmbeddedKey(kind, jws, enrolClaims)), code, name)
        continue
      }
      if (!isKind(kind)) throw new RangeError(`unknown kind ${kind}`)
      const place: JwsKind = kind === 'up-frame' ? 'frame' : kind
      t.equal(await codeOf(verifyJws(place, jws, keyOf, schemas[kind])), code, name)
    }
  })
}
