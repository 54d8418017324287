// An image may be larger than the controller's memory: what a client sends is read no faster than it is stored, from the
// connection to the file.
import { request } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fastify } from 'fastify'
import t from 'tap'
import { addImageRoutes } from '../../../../packages/controller/src/adapters/http/images/add-image-routes.ts'
import type { Images } from '../../../../packages/controller/src/engine/images.ts'
import type { Uploads } from '../../../../packages/controller/src/image-ports.ts'
import { openImages } from './images-scene.ts'

const [chunkBytes, totalBytes] = [64 * 1024, 32 * 1024 * 1024]
const unprepared = () => {
  throw new Error('not prepared')
}
const log = { debug: unprepared, info: unprepared, warn: unprepared, error: unprepared }
const chunk = Buffer.alloc(chunkBytes)
function* chunks() {
  for (let sent = 0; sent < totalBytes; sent += chunkBytes) yield chunk
}

for (const method of ['PATCH', 'PUT'] as const) {
  t.test(`what ${method} sends is not read while nothing is stored`, async (t) => {
    const [began, mayStore] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let storedBytes = 0
    const append: Uploads['append'] = async (_upload, piece) => {
      for await (const part of piece) {
        storedBytes += part.length
        began.resolve()
        await mayStore.promise
      }
      return storedBytes
    }
    const uploads = { append, finish: async () => {} }
    const app = fastify({ bodyLimit: 2 * totalBytes })
    t.teardown(() => app.close())
    const sockets: Socket[] = []
    app.server.on('connection', (socket: Socket) => sockets.push(socket))
    await addImageRoutes(app, { images: { uploads } as unknown as Images, log })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const { port } = app.server.address() as AddressInfo
    const query = method === 'PUT' ? `?digest=sha256:${'a'.repeat(64)}` : ''
    const path = `/v2/docker.io/library/api/blobs/uploads/${crypto.randomUUID()}${query}`
    const headers = { 'content-length': totalBytes, connection: 'close' }
    const asked = request({ host: '127.0.0.1', port, method, path, headers })
    const answered = new Promise<number | undefined>((resolve, reject) => {
      asked.on('error', reject)
      asked.on('response', (answer) => resolve(answer.resume().statusCode))
    })
    const sent = pipeline(Readable.from(chunks()), asked)
    await began.promise
    // whoever read on would have all of it by now: each turn reads a chunk
    for (let turn = 0; turn < (4 * totalBytes) / chunkBytes; turn += 1) await nextTurn()
    const [socket] = sockets
    t.ok(Number(socket?.bytesRead) < 1024 * 1024, `${socket?.bytesRead} bytes were read`)
    mayStore.resolve()
    await sent
    t.equal(await answered, method === 'PUT' ? 201 : 202)
    t.equal(storedBytes, totalBytes)
  })
}

t.test('all that arrived is in the file, but for the last MiB', async (t) => {
  const { images } = await openImages(t)
  const upload = await images.uploads.begin()
  let mostBytes = 0
  async function* arriving() {
    let sentBytes = 0
    for (const part of chunks()) {
      mostBytes = Math.max(mostBytes, sentBytes - (await images.uploads.sizeOf(upload)))
      yield part
      sentBytes += part.length
    }
  }
  t.equal(await images.uploads.append(upload, arriving(), null), totalBytes)
  t.ok(mostBytes > 0 && mostBytes <= 1024 * 1024, `${mostBytes} bytes in memory`)
})
