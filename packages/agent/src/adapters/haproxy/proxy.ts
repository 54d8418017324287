// The Proxy port: keeps on disk what HAProxy is to do, and has it done, one change at a time. How it is brought about
// stands in bring-about.ts, and what brings it about again when HAProxy went away in watch.ts.
import * as z from 'zod'
import { findPortConflicts, isSameService } from '../../core/proxy/conflicts.ts'
import { frontendName } from '../../core/proxy/names.ts'
import { serviceRoute } from '../../core/proxy/route-schema.ts'
import type { ServiceKey, ServiceRoute } from '../../core/proxy/routes.ts'
import type { Clock, Proxy as ProxyPort } from '../../ports.ts'
import { ProxyError } from '../../proxy-error.ts'
import { createBringer } from './bring-about.ts'
import { createCertificates } from './certificates.ts'
import { createCounters } from './counters.ts'
import { type ProxyFiles, pemPath, prepareFolder, proxyFiles, readRoutes, writeRoutes } from './files.ts'
import type { ProxyLife } from './life.ts'
import { hasIpv6 } from './processes.ts'
import { closeSessions, countOnOldWorkers, detachServers, look, lookOrThrow } from './talk.ts'
import { watchProxy } from './watch.ts'

export type ProxyLog = {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export type ProxyParts = {
  /** HAProxy's own, below the data directory. */
  folder: string
  life: (files: ProxyFiles) => ProxyLife
  clock: Clock
  log: ProxyLog
}

/**
 * What was wanted when the agent ended is brought about again at once, if anything was.
 * `stop` leaves HAProxy as it is, and resolves when nothing is changed any more.
 */
export const createProxy = async (parts: ProxyParts): Promise<ProxyPort & { stop(): Promise<void> }> => {
  const { clock, log } = parts
  const files = proxyFiles(parts.folder)
  await prepareFolder(files)
  const life = parts.life(files)
  const settings = {
    adminSocket: files.admin,
    hasIpv6: hasIpv6(),
    user: life.account,
    pemOf: (tls: ServiceRoute['routing']['tls'][number]) => pemPath(files, tls)
  }
  const bringer = createBringer({ files, life, clock, settings })
  const stored = await openRoutes(files, log)
  const certificates = createCertificates(files)
  const counters = createCounters(files)
  const serially = createQueue()
  /** Containers whose last clients were closed: idle ones are not waited for. */
  const closed = new Set<string>()
  let isStopped = false
  const listeners = new Set<() => void>()
  const tellAll = (): void => {
    for (const changed of listeners) changed()
  }
  const watch = watchProxy({
    files,
    clock,
    log,
    isNeeded: () => stored.routes().length > 0,
    repair: () => serially(async () => (isStopped ? undefined : repair())),
    tellAll
  })

  const apply = async (): Promise<void> => {
    await counters.remember()
    const { seen, isNew } = await bringer.bringAbout(stored.routes())
    watch.sawRunning(seen.identity, isNew)
  }
  const repair = async (): Promise<void> => {
    const seen = await look(files)
    if (seen === undefined) watch.sawDown('it does not answer')
    if (seen === undefined || !(await bringer.isAsWanted(stored.routes(), seen))) return apply()
    watch.sawRunning(seen.identity)
    await counters.remember()
    const { taken, refused } = await certificates.refresh(stored.routes())
    if (taken.length > 0) log.info({ certificates: taken }, 'certificates changed and were taken')
    for (const why of refused) log.error({}, `a certificate changed and was not taken: ${why}`)
  }
  const change = async (next: ServiceRoute[]): Promise<void> => {
    await certificates.write(next, stored.routes())
    const seen = await look(files)
    if (seen !== undefined && bringer.areServersAll(next, seen)) {
      await stored.save(next)
      counters.note(seen)
      await bringer.moveServers(next, seen)
      // traffic has moved: the file is written behind the answer, and before anything that is asked for after it
      serially(() => bringer.writeConfig(next)).catch((error: unknown) => log.error({}, String(error)))
      return
    }
    await bringer.check(next)
    await stored.save(next)
    await apply()
  }
  watch.begin()

  return {
    ensure: () =>
      serially(async () => {
        await life.version()
        await repair()
      }),
    lookForProgram: life.look,
    state: watch.state,
    routes: stored.routes,
    holdsPort: async (port) => {
      const rows = (await look(files))?.rows ?? []
      return rows.some((row) => row.kind === 'frontend' && row.proxy === frontendName(port))
    },
    route: (route) =>
      serially(async () => {
        const others = stored.routes().filter((one) => !isSameService(one, route))
        await change([...others, checkRoute(route, others)])
        for (const { id } of route.containers) closed.delete(id)
        counters.meet(route)
      }),
    unroute: (key) =>
      serially(async () => {
        const others = stored.routes().filter((one) => !isSameService(one, key))
        if (others.length < stored.routes().length) await change(others)
      }),
    detach: (key, containers) =>
      serially(async () => {
        refuseServing(stored.routes(), key, containers)
        // no container may be stopped that HAProxy would begin with
        await bringer.writeConfig(stored.routes())
        const seen = await lookOrThrow(files)
        // with a server its counters go
        counters.note(seen)
        const { left, deleted } = await detachServers(files, seen, key, containers)
        counters.noteDeleted(seen, deleted)
        const isClosed = containers.every((id) => closed.has(id))
        const old = await countOnOldWorkers(files, key, containers, isClosed)
        return { requests: left.requests + old.requests, upgraded: left.upgraded + old.upgraded }
      }),
    closeConnections: (key, containers) =>
      serially(async () => {
        refuseServing(stored.routes(), key, containers)
        for (const id of containers) closed.add(id)
        await closeSessions(files, key, containers)
      }),
    figures: () => counters.figures(stored.routes()),
    onChange: (changed) => {
      listeners.add(changed)
      return () => listeners.delete(changed)
    },
    stop: () => {
      isStopped = true
      watch.stop()
      return serially(async () => {})
    }
  }
}

type StoredRoutes = { routes(): ServiceRoute[]; save(next: ServiceRoute[]): Promise<void> }

/** A damaged file changes nothing that HAProxy does, and nothing can be changed until it is removed. */
const openRoutes = async (files: ProxyFiles, log: ProxyLog): Promise<StoredRoutes> => {
  let routes: ServiceRoute[] = []
  let damage: unknown
  try {
    routes = (await readRoutes(files)) ?? []
  } catch (error) {
    damage = error
    log.error({}, error instanceof Error ? error.message : String(error))
  }
  return {
    routes: () => routes,
    save: async (next) => {
      if (damage !== undefined) throw damage
      await writeRoutes(files, next)
      routes = next
    }
  }
}

const checkRoute = (route: ServiceRoute, others: readonly ServiceRoute[]): ServiceRoute => {
  const parsed = serviceRoute.safeParse(route)
  if (!parsed.success)
    throw new ProxyError(
      'proxy-error',
      `this cannot be routed: ${z.prettifyError(parsed.error).slice(0, 500)}`
    )
  const conflicts = findPortConflicts(parsed.data, others)
  if (conflicts.length > 0) throw new ProxyError('port-taken', conflicts.join('; '))
  return parsed.data
}

const refuseServing = (
  routes: readonly ServiceRoute[],
  key: ServiceKey,
  containers: readonly string[]
): void => {
  const serving = routes.find((one) => isSameService(one, key))?.containers ?? []
  const named = serving.filter(({ id }) => containers.includes(id))
  if (named.length > 0)
    throw new ProxyError(
      'proxy-error',
      `container ${named[0]?.id.slice(0, 12)} of ${key.service} gets traffic`
    )
}

/** One after the other, in the order of the calls; a failure is for its caller alone. */
const createQueue = () => {
  let last: Promise<unknown> = Promise.resolve()
  return <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work, work)
    last = result.catch(() => {})
    return result
  }
}
