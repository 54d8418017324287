// A file into an answer over a real connection: byte for byte, also to a reader that is slower than the disk, and closed
// whoever breaks off.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type FileHandle, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { createServer, get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { pourFile } from '../../../../packages/controller/src/adapters/blobs/pour-file.ts'

const content = randomBytes(4_000_000)

/** Answers `/FIRST-LAST`; `ends`: how each pouring ended. */
const serve = async (t: Test) => {
  const folder = await mkdtemp(join(tmpdir(), 'longshore-pour-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'blob'), content)
  const ends: Promise<{ file: FileHandle; error: unknown }>[] = []
  const server = createServer((request, response) => {
    const [first = 0, last = 0] = (request.url ?? '').slice(1).split('-').map(Number)
    response.setHeader('content-length', last - first + 1)
    const pour = async () => {
      const file = await open(join(folder, 'blob'))
      const error = await pourFile(file, response, { first, last }).catch((error: unknown) => error)
      return { file, error }
    }
    ends.push(pour())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const ask = async (range: string): Promise<IncomingMessage> => {
    const [answer] = await once(get({ host: '127.0.0.1', port, path: `/${range}`, agent: false }), 'response')
    return answer
  }
  return { ask, ends }
}

t.test('what is asked for comes as it is, and the file is closed', async (t) => {
  const { ask, ends } = await serve(t)
  for (const [first, last] of [
    [0, content.length - 1],
    [262_143, 262_144],
    [5, 1_000_004]
  ] as const) {
    const answer = await ask(`${first}-${last}`)
    // slower than the disk
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate)
    t.ok((await buffer(answer)).equals(content.subarray(first, last + 1)), `${first}-${last}`)
  }
  for (const { file, error } of await Promise.all(ends)) t.same([file.fd, error], [-1, undefined])
})

t.test('a reader that goes away ends it, and a file that breaks off breaks the answer off', async (t) => {
  const { ask, ends } = await serve(t)
  const left = await ask(`0-${content.length - 1}`)
  left.destroy()
  const short = await ask(`3000000-${content.length}`)
  await t.rejects(buffer(short))
  const [gone, broken] = await Promise.all(ends)
  t.match(gone, { file: { fd: -1 }, error: Error })
  t.match(broken, { file: { fd: -1 }, error: { message: /the file ends before byte 4000000/ } })
})
