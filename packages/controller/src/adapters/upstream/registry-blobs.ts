// A registry as the place where content lies: OCI Distribution Specification 1.1, from a client's side, all in one of its
// repositories. Manifests go there so that its own cleaning up keeps their blobs, and are removed there when nothing
// needs them; blobs follow by that cleaning up. What follows from it for users: docs/images.md.
import { createReadStream } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { pipeline, Readable, type Transform } from 'node:stream'
import { type Digest, digest } from '@longshore/protocol'
import { ImageError } from '../../core/images/image-error.ts'
import type { ByteRange } from '../../core/images/ranges.ts'
import { storeTagOf } from '../../core/images/store-address.ts'
import type { Blobs } from '../../image-ports.ts'
import type { Log } from '../../ports.ts'
import { type AskStore, type AskStorePorts, createAskStore } from './ask-store.ts'
import { checkDigest, corrupt, cutOut, demandDigest } from './check-content.ts'
import { listStoreTags } from './list-store-tags.ts'

/** The digest of no bytes: any would do to ask for. */
const nothing = digest.parse('sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
/** Checked before the first byte goes out, so that the refusal can be an answer. */
const smallBytes = 1024 * 1024
/** What was sent may be moved to its place before the answer comes. */
const storeLimitMs = 300_000

type Ports = AskStorePorts & {
  /** Marks what is ours. */
  installation: string
  log: Log
}

export const createRegistryBlobs = (ports: Ports): Blobs => {
  const { installation, log } = ports
  const store = createAskStore(ports)
  let isRemovable = true
  const sizeOf = (blob: Digest) => askSize(store, blob)
  return {
    sizeOf,
    open: async (blob) => {
      const sizeBytes = await sizeOf(blob)
      if (sizeBytes === undefined) return undefined
      return {
        sizeBytes,
        stream: (range) => streamBlob({ store, log }, { blob, sizeBytes, range }),
        close: async () => {}
      }
    },
    read: async (blob, maxBytes) => {
      const answer = await store.ask({ at: `blobs/${blob}` })
      if (await isMissing(store, answer, [200])) return undefined
      if (Number(answer.headers['content-length'] ?? 0) > maxBytes) {
        answer.destroy()
        return undefined
      }
      const content = await store.read(answer, maxBytes)
      demandDigest(content, blob)
      return content
    },
    demandReady: async () => {
      await sizeOf(nothing)
    },
    take: (blob, file) => sendBlob(store, blob, file),
    takeManifest: async ({ digest, mediaType, content }) => {
      const body = Buffer.from(content, 'utf8')
      const answer = await store.ask({
        method: 'PUT',
        at: `manifests/${storeTagOf(installation, digest)}`,
        headers: { 'content-type': mediaType, 'content-length': String(body.length) },
        body: () => body
      })
      await demandTaken(store, answer)
    },
    unusedSince: async () => (isRemovable ? await listStoreTags(store, installation) : []),
    removeUnused: async (manifest) => {
      const answer = await store.ask({ method: 'DELETE', at: `manifests/${manifest}` })
      if (answer.statusCode === 405 && isRemovable) {
        isRemovable = false
        const text =
          'the registry behind the image store removes no manifests: cleaning it up is left to its owner'
        log.warn({ registry: ports.address.registry }, text)
      }
      return !(await isMissing(store, answer, [200, 202, 204, 405])) && answer.statusCode !== 405
    }
  }
}

/** @throws ImageError `STORE_UNAVAILABLE` for all but 404 and what is expected */
const isMissing = async (
  store: AskStore,
  answer: IncomingMessage,
  expected: readonly number[]
): Promise<boolean> => {
  const { statusCode = 0 } = answer
  if (expected.includes(statusCode)) return false
  if (statusCode !== 404) throw (await store.refusalOf(answer)).error
  answer.destroy()
  return true
}

const askSize = async (store: AskStore, blob: Digest): Promise<number | undefined> => {
  const answer = await store.ask({ method: 'HEAD', at: `blobs/${blob}` })
  if (await isMissing(store, answer, [200])) return undefined
  const length = answer.headers['content-length'] ?? ''
  answer.destroy()
  if (/^\d+$/.test(length)) return Number(length)
  throw new ImageError(
    'STORE_UNAVAILABLE',
    'the registry behind the image store does not say how large a blob is'
  )
}

type Wanted = { blob: Digest; sizeBytes: number; range: ByteRange | null }

const streamBlob = async (
  { store, log }: { store: AskStore; log: Log },
  { blob, sizeBytes, range }: Wanted
): Promise<Readable> => {
  const headers = range === null ? {} : { range: `bytes=${range.first}-${range.last}` }
  const answer = await store.ask({ at: `blobs/${blob}`, headers })
  if (await isMissing(store, answer, [200, 206])) throw new ImageError('BLOB_UNKNOWN')
  const isPart = answer.statusCode === 206
  demandAnnounced(answer, { blob, sizeBytes, range })
  if (range === null && sizeBytes <= smallBytes) {
    const content = await store.read(answer, smallBytes)
    demandDigest(content, blob)
    return Readable.from([content], { objectMode: false })
  }
  const failed = (error: Error | null | undefined): void => {
    if (error instanceof ImageError) log.error({ err: error, blob }, 'wrong content was not passed on')
  }
  if (isPart && range !== null)
    return passed(answer, [cutOut({ first: 0, last: range.last - range.first })], failed)
  // registries need not know ranges
  return passed(answer, [checkDigest(blob), ...(range === null ? [] : [cutOut(range)])], failed)
}

/** Ends the answer when the reader goes away, and the reader when the answer breaks off. */
const passed = (
  answer: IncomingMessage,
  [first, second]: readonly Transform[],
  failed: (error: Error | null | undefined) => void
): Readable => {
  if (first === undefined) return answer
  return second === undefined ? pipeline(answer, first, failed) : pipeline(answer, first, second, failed)
}

const demandAnnounced = (answer: IncomingMessage, { blob, sizeBytes, range }: Wanted): void => {
  const { statusCode, headers } = answer
  const isPart = statusCode === 206
  const isRight = isPart
    ? range !== null && headers['content-range'] === `bytes ${range.first}-${range.last}/${sizeBytes}`
    : [undefined, String(sizeBytes)].includes(headers['content-length'])
  if (isRight) return
  answer.destroy()
  throw corrupt(`of ${blob} it announces other bytes than were asked for`)
}

/** All at once: the file is here until the registry has it. */
const sendBlob = async (
  store: AskStore,
  blob: Digest,
  { path, sizeBytes }: { path: string; sizeBytes: number }
): Promise<void> => {
  const begun = await store.ask({
    method: 'POST',
    at: 'blobs/uploads/',
    headers: { 'content-length': '0' }
  })
  const { location } = begun.headers
  if (begun.statusCode !== 202 || location === undefined) throw (await store.refusalOf(begun)).error
  begun.destroy()
  const answer = await store.ask({
    method: 'PUT',
    at: store.addressOf(`${location}${location.includes('?') ? '&' : '?'}digest=${blob}`),
    headers: { 'content-type': 'application/octet-stream', 'content-length': String(sizeBytes) },
    body: () => createReadStream(path, { highWaterMark: 1024 * 1024 }),
    silenceMs: storeLimitMs
  })
  if (answer.statusCode !== 201) throw (await store.refusalOf(answer)).error
  answer.destroy()
}

const lacking: readonly string[] = ['MANIFEST_BLOB_UNKNOWN', 'BLOB_UNKNOWN', 'MANIFEST_UNKNOWN']

const demandTaken = async (store: AskStore, answer: IncomingMessage): Promise<void> => {
  if (answer.statusCode === 201) return void answer.destroy()
  const { code, error } = await store.refusalOf(answer)
  if (lacking.includes(code)) throw new ImageError('MANIFEST_BLOB_UNKNOWN', error.message)
  if (code === 'MANIFEST_INVALID') throw new ImageError('MANIFEST_INVALID', error.message)
  throw error
}
