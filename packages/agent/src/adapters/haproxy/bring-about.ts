// Makes HAProxy do what is wanted, whatever it does now: starts it, has it read a new configuration, replaces it by
// another version, or only moves servers. Called again and again, it changes nothing where nothing differs.
import { createHash } from 'node:crypto'
import { wantedBackends } from '../../core/proxy/backends.ts'
import { findDifferences } from '../../core/proxy/plan-switch.ts'
import {
  describeShape,
  type ProxySettings,
  renderConfig,
  renderShape
} from '../../core/proxy/render-config.ts'
import type { ServiceRoute } from '../../core/proxy/routes.ts'
import type { Clock } from '../../ports.ts'
import { ProxyError } from '../../proxy-error.ts'
import { moveFile, type ProxyFiles, readText, replaceFile } from './files.ts'
import type { ProxyLife } from './life.ts'
import { findTakenPort } from './port-owner.ts'
import { askMasters, look, lookAtOldWorkers, type ProxyLook, switchServers } from './talk.ts'

export type Bringer = {
  /** Whether HAProxy that runs can be brought to it by runtime calls alone. */
  areServersAll(wanted: readonly ServiceRoute[], seen: ProxyLook): boolean
  /** By runtime calls alone, confirmed by HAProxy. */
  moveServers(wanted: readonly ServiceRoute[], seen: ProxyLook): Promise<void>
  /** For its next start; nothing when it is written. */
  writeConfig(wanted: readonly ServiceRoute[]): Promise<void>
  /** Rejects with why HAProxy could never do this; changes nothing. */
  check(wanted: readonly ServiceRoute[]): Promise<void>
  bringAbout(wanted: readonly ServiceRoute[]): Promise<{ seen: ProxyLook; isNew: boolean }>
  /** Whether `bringAbout` would change nothing. */
  isAsWanted(wanted: readonly ServiceRoute[], seen: ProxyLook): Promise<boolean>
}

type Master = { pid: number; socket: string; reloads: number }
type Parts = { files: ProxyFiles; life: ProxyLife; clock: Clock; settings: ProxySettings }

/** HAProxy tries for 2 s to bind a port that is taken. */
const changeLimitMs = 20_000
const pollMs = 20
/** Attempts until a signal is sent again: about a second. */
const signalEvery = 50

export const createBringer = ({ files, life, clock, settings }: Parts): Bringer => {
  const shapeOf = (wanted: readonly ServiceRoute[]): string =>
    createHash('sha256').update(renderShape(wanted, settings)).digest('hex').slice(0, 16)
  const configOf = (wanted: readonly ServiceRoute[]): string =>
    renderConfig(wanted, settings, shapeOf(wanted))
  const hasShape = (seen: ProxyLook, wanted: readonly ServiceRoute[]): boolean =>
    seen.identity.description === describeShape(shapeOf(wanted))

  const check = async (wanted: readonly ServiceRoute[]): Promise<void> => {
    await life.version()
    await replaceFile(files.candidate, configOf(wanted))
    await life.check(files.candidate)
    const taken = await findTakenPort(files, wanted)
    if (taken !== undefined) throw new ProxyError('port-taken', taken)
  }

  const writeConfig = async (wanted: readonly ServiceRoute[]): Promise<void> => {
    const config = configOf(wanted)
    if ((await readText(files.config)) !== config) await replaceFile(files.config, config)
  }

  const moveServers = (wanted: readonly ServiceRoute[], seen: ProxyLook): Promise<void> =>
    switchServers(files, wanted.flatMap(wantedBackends), seen.rows)

  /** Its check comes first: a master that reads a wrong configuration serves on, but cannot be started again. */
  const changeConfig = async (wanted: readonly ServiceRoute[]): Promise<void> => {
    await replaceFile(files.candidate, configOf(wanted))
    await life.check(files.candidate)
    await moveFile(files.candidate, files.config)
  }

  const start = async (wanted: readonly ServiceRoute[], isBeside: boolean): Promise<ProxyLook> => {
    await life.version()
    await changeConfig(wanted)
    const taken = await findTakenPort(files, wanted)
    if (taken !== undefined) throw new ProxyError('port-taken', taken)
    const number = await life.start({ isBeside })
    const started = await awaitWorker(wanted, { socket: files.masterOf(number), formerPid: null })
    return awaitAnswerOf(started.workerPid, () => life.endOthers(started))
  }

  const reload = async (wanted: readonly ServiceRoute[], before: ProxyLook, master: Master) => {
    await changeConfig(wanted)
    const taken = await findTakenPort(files, wanted)
    if (taken !== undefined) throw new ProxyError('port-taken', taken)
    const { socket, reloads } = master
    await signalUntilTaken(() => life.reload(master.pid), socket, reloads)
    const { workerPid } = await awaitWorker(wanted, { socket, formerPid: before.identity.pid })
    return awaitAnswerOf(workerPid, async () => {})
  }

  /** A master that has only just started lets a signal pass; one that took it counts a reload more. */
  const signalUntilTaken = async (signal: () => Promise<void>, socket: string, reloads: number) => {
    let attempts = 0
    await poll(clock, async () => {
      if (attempts % signalEvery === 0) await signal()
      attempts += 1
      const { current } = await askMasters(files)
      return current?.socket === socket && current.reloads > reloads ? true : undefined
    })
  }

  type Started = { masterPid: number; workerPid: number }

  /** @param of the master that is to have it: another one may still answer while that one is starting */
  const awaitWorker = (
    wanted: readonly ServiceRoute[],
    of: { socket: string; formerPid: number | null }
  ): Promise<Started> =>
    poll(clock, async () => {
      const { current, worker } = await askMasters(files)
      if (current?.socket !== of.socket || worker === undefined) return undefined
      if (worker.identity.pid === of.formerPid) return undefined
      if (!hasShape({ identity: worker.identity, rows: [] }, wanted)) return undefined
      return { masterPid: current.pid, workerPid: worker.identity.pid }
    })

  /** The former one answers on the same socket until it has let go of it. */
  const awaitAnswerOf = async (workerPid: number, endOthers: () => Promise<unknown>): Promise<ProxyLook> => {
    let times = 0
    let attempts = 0
    return poll(clock, async () => {
      if (attempts % signalEvery === 0) await endOthers()
      attempts += 1
      const seen = await look(files)
      times = seen?.identity.pid === workerPid ? times + 1 : 0
      return times >= 3 && (await haveOldOnesStopped()) ? seen : undefined
    })
  }

  /** Until then they share the ports, and take new clients by their old lists. */
  const haveOldOnesStopped = async (): Promise<boolean> =>
    (await lookAtOldWorkers(files)).every(({ rows }) => {
      const frontends = rows.filter(({ kind }) => kind === 'frontend')
      return frontends.every(({ isStopped }) => isStopped)
    })

  const bringAbout: Bringer['bringAbout'] = async (wanted) => {
    const seen = await look(files)
    if (seen === undefined) return { seen: await start(wanted, false), isNew: true }
    const { current } = await askMasters(files)
    const isOutdated = !(await life.isCurrent(seen.identity))
    if (current === undefined || (isOutdated && life.isReplacedByStart))
      return { seen: await start(wanted, true), isNew: true }
    if (isOutdated || !hasShape(seen, wanted))
      return { seen: await reload(wanted, seen, current), isNew: true }
    await moveServers(wanted, seen)
    await writeConfig(wanted)
    return { seen, isNew: false }
  }

  return {
    areServersAll: (wanted, seen) => hasShape(seen, wanted),
    moveServers,
    writeConfig,
    check,
    bringAbout,
    isAsWanted: async (wanted, seen) =>
      hasShape(seen, wanted) &&
      findDifferences(wanted.flatMap(wantedBackends), seen.rows).length === 0 &&
      (await readText(files.config)) === configOf(wanted) &&
      (await askMasters(files)).current !== undefined &&
      (await life.isCurrent(seen.identity))
  }
}

const poll = async <T>(clock: Clock, attempt: () => Promise<T | undefined>): Promise<T> => {
  let lastError: unknown
  const endMs = clock.monotonicMs() + changeLimitMs
  for (;;) {
    try {
      const result = await attempt()
      if (result !== undefined) return result
      lastError = undefined
    } catch (error) {
      // a master that is just starting closes a conversation
      lastError = error
    }
    if (clock.monotonicMs() > endMs) {
      const why = lastError instanceof Error ? `: ${lastError.message}` : ''
      throw new ProxyError(
        'proxy-error',
        `HAProxy did not take its configuration in ${changeLimitMs} ms${why}`
      )
    }
    await new Promise<void>((resolve) => {
      clock.after(pollMs, resolve)
    })
  }
}
