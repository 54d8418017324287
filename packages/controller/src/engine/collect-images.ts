// Throws away what the image store needs no longer, now and then: uploads that nobody goes on with, manifests that no
// tag and no kept release needs, and then content that no manifest refers to. Safe beside pushes: manifests go inside a
// change of the database, and content that a push is about to refer to is held.
import { artifactRepository, type Digest } from '@longshore/protocol'
import { findGarbage, type Held } from '../core/images/find-garbage.ts'
import type { Blobs, Uploads } from '../image-ports.ts'
import type { Clock, Log, Tx } from '../ports.ts'
import type { Holds } from './hold-content.ts'
import { listReleases } from './list-releases.ts'
import { stateOf } from './view-deployment.ts'
import type { Writer } from './writer.ts'

const everyMs = 3_600_000
/** Content removed between two looks at what is needed: the lease may be lost meanwhile. */
const maxAtOnce = 20

export type ImageCollector = {
  start(): void
  /** One round now. */
  collect(): Promise<Collected>
  stop(): Promise<void>
}
/** `blobs`: also manifests that a registry had. */
export type Collected = { uploads: number; manifests: number; blobs: number }

type Ports = {
  writer: Writer
  blobs: Blobs
  uploads: Uploads
  holds: Holds
  clock: Clock
  steadyClock: Clock
  log: Log
  /** What was pushed or asked for since is left alone. */
  graceMs: number
}

export const createImageCollector = (ports: Ports): ImageCollector => {
  const { steadyClock, log } = ports
  let cancelTimer = (): void => {}
  let isStopped = false
  let running: Promise<unknown> = Promise.resolve()

  const collect = (): Promise<Collected> => {
    const round = collectOnce(ports, () => isStopped)
    running = round.catch(() => {})
    return round
  }
  const later = (): void => {
    if (isStopped) return
    cancelTimer = steadyClock.at(steadyClock.nowMs() + everyMs, () => {
      collect()
        .catch((error: unknown) => log.error({ err: error }, 'images that nobody needs could not be removed'))
        .finally(later)
    })
  }
  return {
    start: later,
    collect,
    stop: async () => {
      isStopped = true
      cancelTimer()
      await running
    }
  }
}

const collectOnce = async (ports: Ports, isStopped: () => boolean): Promise<Collected> => {
  const { writer, blobs, uploads, holds, clock, log, graceMs } = ports
  const beforeMs = clock.nowMs() - graceMs
  const expired = await uploads.expire(beforeMs)
  const manifests = await writer.step(async (tx) => {
    const garbage = findGarbage(await holdingsOf(tx), beforeMs)
    for (const { repository, digest } of garbage) await tx.deleteImageManifest(repository, digest)
    return garbage.length
  })
  const unused = await blobs.unusedSince(beforeMs)
  let removed = 0
  for (let start = 0; start < unused.length && !isStopped(); start += maxAtOnce) {
    const some = unused.slice(start, start + maxAtOnce)
    // asked as the writer: who has lost the lease removes nothing
    const needed = await writer.step(neededContent)
    for (const one of some.filter((found) => !needed.has(found)))
      if (await holds.unlessHeld(one, beforeMs, () => blobs.removeUnused(one, beforeMs))) removed += 1
  }
  const collected = { uploads: expired, manifests, blobs: removed }
  if (expired + manifests + removed > 0) log.info(collected, 'removed images that nobody needs')
  return collected
}

const neededContent = async (tx: Tx): Promise<ReadonlySet<Digest>> => {
  const links = await tx.imageLinks('blob')
  const manifests = await tx.imageManifests()
  return new Set([...links.map(({ child }) => child), ...manifests.map(({ digest }) => digest)])
}

const holdingsOf = async (tx: Tx) => {
  const links = await tx.imageLinks('manifest')
  return {
    manifests: await tx.imageManifests(),
    children: links.map(({ repository, manifest, child }) => ({ repository, manifest, child })),
    tagged: await tx.imageTags({}),
    kept: [...(await keptReleases(tx)), ...(await deployedNow(tx))]
  }
}

/** A deployment may be to a release that is kept no longer, or to an image that no release has. */
const deployedNow = async (tx: Tx): Promise<Held[]> => {
  const rows = await tx.deployments({ isEnded: false })
  return rows
    .flatMap((row) => stateOf(row).parts)
    .flatMap(({ repository, digest }) =>
      digest === null ? [] : [{ repository: artifactRepository(repository), digest }]
    )
}

/** Images of releases that run, are on their way, or may be gone back to. */
const keptReleases = async (tx: Tx): Promise<Held[]> => {
  const kept: Held[] = []
  for (const { environment, service } of await tx.specs()) {
    for (const release of await listReleases(tx, { environment, service })) {
      const { repository, digest, outcome, isCurrent, isKept } = release
      if (digest === null || !(isCurrent || isKept || outcome === null)) continue
      kept.push({ repository: artifactRepository(repository), digest: digest as Digest })
    }
  }
  return kept
}
