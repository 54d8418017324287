// What is seen of a fleet from outside: what each host answers over HTTP, and all that Docker tells of it. A version
// can be made unhealthy there, and an agent held in its switch.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { Test } from 'tap'
import { EngineRefused } from '../../scripts/hosts/engine-client.ts'
import { collectCommand } from '../../scripts/hosts/run-command.ts'
import type { FaultHost } from './e2e-fault-fleet.ts'
import type { Host } from './engine.ts'
import { waitUntil } from './wait.ts'

/** What a host answers; null: nothing. */
export const pageOf = async ({ address }: Host, port = 80): Promise<string | null> => {
  try {
    const answer = await fetch(`http://${address}:${port}/`, { signal: AbortSignal.timeout(2000) })
    return (await answer.text()).trim()
  } catch {
    return null
  }
}
export const pagesOf = (hosts: readonly Host[], port = 80): Promise<(string | null)[]> =>
  Promise.all(hosts.map((host) => pageOf(host, port)))

/** Container details as Docker tells them, the running and the ended ones. */
export type Details = {
  Id: string
  Name: string
  Image: string
  ExecIDs: string[] | null
  State: { Running: boolean; StartedAt: string; Health?: unknown }
  HostConfig: { Memory: number }
  Config: { Image: string; Labels: Record<string, string> }
  Mounts: { Source: string; Destination: string }[]
}
/** Nothing of one that was removed since it was listed. */
const inspect = async (engine: Host['engine'], id: string): Promise<Details[]> => {
  try {
    return [await engine.client.get<Details>(`/containers/${id}/json`)]
  } catch (error) {
    if (error instanceof EngineRefused && error.status === 404) return []
    throw error
  }
}
export const detailsOf = async ({ engine }: Host, service?: string): Promise<Details[]> => {
  const listed = await engine.client.get<{ Id: string }[]>('/containers/json?all=true')
  const details = await Promise.all(listed.map(({ Id }) => inspect(engine, Id)))
  return details
    .flat()
    .filter(({ Config }) => service === undefined || Config.Labels['longshore.service'] === service)
    .sort((a, b) => a.Name.localeCompare(b.Name))
}

/** All that a host has, without what passes by itself: its health checks. Docker lists mounts in any order. */
const everythingOn = async (host: Host): Promise<unknown> => {
  const containers = await detailsOf(host)
  const list = async (path: string): Promise<unknown> =>
    (await host.engine.client.get<{ Id: string }[]>(path)).sort((a, b) => a.Id.localeCompare(b.Id))
  const { Volumes } = await host.engine.client.get<{ Volumes: { Name: string }[] }>('/volumes')
  return {
    containers: containers.map(({ State, ExecIDs: _ExecIDs, ...rest }) => ({
      ...rest,
      Mounts: rest.Mounts.toSorted((a, b) => a.Destination.localeCompare(b.Destination)),
      State: { ...State, Health: undefined }
    })),
    images: await list('/images/json?all=true'),
    networks: await list('/networks'),
    volumes: Volumes.sort((a, b) => a.Name.localeCompare(b.Name))
  }
}

export const everythingOnAll = (hosts: readonly Host[]): Promise<unknown[]> =>
  Promise.all(hosts.map(everythingOn))

/** Containers that were replaced go a little after the end of a deployment. */
export const waitForCleanUp = (hosts: readonly Host[]): Promise<unknown> =>
  waitUntil('what was replaced to be cleaned up', async () => {
    const all = await Promise.all(hosts.map((host) => detailsOf(host)))
    return all.flat().every(({ State }) => State.Running)
  })

const refusalFile = async (host: Host, service: string, version: string): Promise<string> => {
  const [container] = await detailsOf(host, service)
  const mount = container?.Mounts.find(({ Destination }) => Destination === '/data')
  if (mount === undefined) throw new Error(`${service} has no volume on ${host.name}`)
  return join(mount.Source, `refuses-${version}`)
}
/** From now on this version is unhealthy on this host. The service has to run there. */
export const refuseOn = async (host: Host, service: string, version: string): Promise<void> =>
  writeFileSync(await refusalFile(host, service, version), '')

/** What `refuseOn` did is over. */
export const acceptOn = async (host: Host, service: string, version: string): Promise<void> =>
  rmSync(await refusalFile(host, service, version))

/** Asks every host again and again until `end` is called, which returns every answer that was not expected. */
export const watchPages = (
  hosts: readonly Host[],
  expected: string
): { end(): Promise<{ asked: number; wrong: (string | null)[] }> } => {
  const stop = new AbortController()
  const seen = { asked: 0, wrong: [] as (string | null)[] }
  const watch = async (host: Host): Promise<void> => {
    while (!stop.signal.aborted) {
      const page = await pageOf(host)
      seen.asked += 1
      if (page !== expected) seen.wrong.push(`${host.name}: ${page}`)
      await pause(20)
    }
  }
  const watching = Promise.all(hosts.map(watch))
  return {
    end: async () => {
      stop.abort()
      await watching
      return seen
    }
  }
}

/** Holds the agent of this host when it watches its new container, so that a deployment stands there. */
export const holdSwitch = (host: FaultHost) =>
  host.gate.hold({ command: 'release', step: 'monitor', edge: 'asked' })

/**
 * Cuts the host off, and its connections break on this side as if something on the way had reset them: the controller
 * need not wait for the silence limit of a session. A kernel that cannot do that makes it wait.
 */
export const disconnect = async (host: Host): Promise<void> => {
  await host.cut()
  await collectCommand('ss', ['-K', 'dst', host.address])
}

/** In a fleet of three hosts. */
export const thrice = (page: string | null) => [page, page, page]
export const all = (state: string) => ({ host1: state, host2: state, host3: state })
export const statesOf = ({ targets }: { targets: { host: string; state: string }[] }) =>
  Object.fromEntries(targets.map(({ host, state }) => [host, state]))

export const expectPages = async (
  t: Test,
  hosts: readonly Host[],
  page: string,
  port?: number
): Promise<void> => {
  t.strictSame(
    await pagesOf(hosts, port),
    hosts.map(() => page),
    `every host answers ${page}`
  )
}
