// What deployments ask of registries by way of the controller: to fetch an image, or to say what it is made of. What a
// deployment waits for is read from its state after each commit, so that a controller that was restarted goes on with
// it, and the answer is an event. Which images those are is core/deployment/cache.ts and compare-stored.ts.
import { type Fetch, fetchesOf } from '../core/deployment/cache.ts'
import { type Comparison, comparisonsOf } from '../core/deployment/compare-stored.ts'
import type { DeploymentEvent } from '../core/deployment/events.ts'
import { placesOf } from '../core/requests/choose-cache.ts'
import type { Artifacts, Clock, DeploymentRow, Log, Tx } from '../ports.ts'
import type { Driver } from './drive-deployments.ts'
import { stateOf } from './view-deployment.ts'
import { retryMs, type Writer } from './writer.ts'

export type ImageFetches = {
  /** After each commit of a deployment; never throws, and begins nothing twice. */
  moved(row: DeploymentRow): void
  /** What is on its way comes too late. */
  stop(): void
}
type Ports = {
  artifacts: Artifacts
  writer: Writer
  clock: Clock
  log: Log
  /** Made later than this. */
  driver(): Pick<Driver, 'step' | 'follow'>
}

export const createImageFetches = ({ artifacts, writer, clock, log, driver }: Ports): ImageFetches => {
  const running = new Set<string>()
  const retries = new Set<() => void>()
  let isStopped = false

  const fetchOne = async (wanted: Fetch): Promise<DeploymentEvent> => {
    const { service, repository, digest, platforms } = wanted
    const places = placesOf(repository, wanted.sources)
    try {
      const artifact = await artifacts.fetchArtifact({ repository, digest, platforms, places })
      return { kind: 'imageFetched', atMs: clock.nowMs(), service, artifact }
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      return { kind: 'imageNotFetched', atMs: clock.nowMs(), service, detail }
    }
  }
  const compareOne = async (wanted: Comparison): Promise<DeploymentEvent> => {
    const { service, repository, sources } = wanted
    const configs = await artifacts.configsOf({ ...wanted, places: placesOf(repository, sources) })
    return { kind: 'imageCompared', atMs: clock.nowMs(), service, configs }
  }
  const begin = (id: string, what: string, ask: () => Promise<DeploymentEvent>): void => {
    const key = `${id} ${what}`
    if (running.has(key)) return
    running.add(key)
    void ask()
      .then((event) => tell(id, event))
      .finally(() => running.delete(key))
  }
  const tell = async (id: string, event: DeploymentEvent): Promise<void> => {
    if (isStopped) return
    try {
      await writer.step(
        (tx: Tx) => driver().step(tx, id, event),
        (committed) => driver().follow([committed])
      )
    } catch (error) {
      if (isStopped) return
      log.error(
        { deployment: id, err: error },
        'that an image was fetched could not be stored; it is tried again'
      )
      const cancel = clock.at(clock.nowMs() + retryMs, () => {
        retries.delete(cancel)
        void tell(id, event)
      })
      retries.add(cancel)
    }
  }
  return {
    moved: (row) => {
      if (isStopped) return
      const { id } = row
      const state = stateOf(row)
      for (const one of fetchesOf(state)) begin(id, `fetch ${one.service}`, () => fetchOne(one))
      for (const one of comparisonsOf(state)) begin(id, `compare ${one.service}`, () => compareOne(one))
    },
    stop: () => {
      isStopped = true
      for (const cancel of retries) cancel()
      retries.clear()
    }
  }
}
