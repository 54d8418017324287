// Which hosts are lost, and which are back? A host that has been silent for longer than the limit is told of once,
// until it is back. Lengths of silence are measured by a clock that never jumps; after a start of the controller every
// host has the time to come back first; hosts that go, or come, at about the same time share one notice.
import { type AgentId, limits } from '@longshore/protocol'
import type { AgentView } from '../api/schemas.ts'
import { hostNotices } from '../core/notifications/compose.ts'
import type { AgentLink, AgentRow, Clock, Log, LostHostRow, Random, Store, Tx } from '../ports.ts'
import type { EventStream } from './event-stream.ts'
import { oneAtATime } from './one-at-a-time.ts'
import { oweNotices } from './owe-notices.ts'
import { retryMs, type Writer } from './writer.ts'

export type HostWatch = {
  /** Call it before the first agent is let in. */
  start(): Promise<void>
  /** No timer is left. */
  stop(): Promise<void>
}
export type HostWatchPorts = {
  store: Store
  writer: Writer
  clock: Clock
  steadyClock: Clock
  random: Random
  link: Pick<AgentLink, 'isConnected'>
  events: Pick<EventStream, 'listen'>
  /** Only the owner of the lease tells. */
  lease: { isHeld(): Promise<boolean> }
  settings: { lostAfterMs: number }
  log: Log
}

/** After the controller was away an agent tries again within the cap; twice that is time enough for two tries. */
const startGraceMs = 2 * limits.reconnectCapMs

/** `lostHosts`: all that are lost now. */
type Found = { lost: AgentRow[]; lostHosts: LostHostRow[] }

export const createHostWatch = (ports: HostWatchPorts): HostWatch => {
  const { store, writer, steadyClock, link, events, lease, settings, log } = ports
  /** Sessions of one cut network end within a ping interval of each other. */
  const gatherMs = Math.min(limits.pingIntervalMs, settings.lostAfterMs / 4)
  const dueAtMs = new Map<AgentId, number>()
  const back = new Set<AgentId>()
  let told = new Set<string>()
  let timer: { atMs: number; cancel: () => void } | undefined
  let isStopped = false
  let stopListening = (): void => {}

  const sweepAt = (atMs: number): void => {
    if (isStopped || (timer !== undefined && timer.atMs <= atMs)) return
    timer?.cancel()
    timer = { atMs, cancel: steadyClock.at(atMs, sweeping.ask) }
  }
  const sweepNext = (): void => {
    if (back.size > 0) sweepAt(steadyClock.nowMs() + gatherMs)
    if (dueAtMs.size > 0) sweepAt(Math.min(...dueAtMs.values()) + gatherMs)
  }
  const sweeping = oneAtATime(async () => {
    timer?.cancel()
    timer = undefined
    if (isStopped) return
    const nowMs = steadyClock.nowMs()
    const gone = [...dueAtMs].filter(([, atMs]) => atMs <= nowMs).map(([agent]) => agent)
    const returned = [...back]
    try {
      if (!(await lease.isHeld())) return
      const found = await writer.step((tx) => tellIn(tx, ports, gone, returned))
      told = new Set(found.lostHosts.map(keyOf))
      for (const agent of gone) dueAtMs.delete(agent)
      for (const agent of returned) back.delete(agent)
      // came while the notice was being written
      for (const { id } of found.lost) if (link.isConnected(id)) back.add(id)
      sweepNext()
    } catch (error) {
      log.error({ err: error }, 'lost hosts could not be told of; tried again')
      sweepAt(steadyClock.nowMs() + retryMs)
    }
  })
  const hear = ({ id, environment, name, state, lastSeenAtMs }: AgentView): void => {
    if (state === 'silent' && lastSeenAtMs !== null) {
      back.delete(id)
      if (!told.has(keyOf({ environment, host: name })) && !dueAtMs.has(id)) {
        dueAtMs.set(id, steadyClock.nowMs() + settings.lostAfterMs)
      }
    } else {
      dueAtMs.delete(id)
      if (state === 'connected' && told.has(keyOf({ environment, host: name }))) back.add(id)
    }
    sweepNext()
  }
  return {
    start: async () => {
      told = new Set((await store.lostHosts()).map(keyOf))
      const firstDueAtMs = steadyClock.nowMs() + Math.max(settings.lostAfterMs, startGraceMs)
      for (const { id, environment, hostName, state, lastSeenAtMs } of await store.agents()) {
        const isTold = told.has(keyOf({ environment, host: hostName }))
        if (state === 'active' && lastSeenAtMs !== null && !isTold) dueAtMs.set(id, firstDueAtMs)
      }
      stopListening = events.listen((event) => {
        if (event.type === 'agent') hear(event.agent)
      })
      sweepNext()
    },
    stop: async () => {
      isStopped = true
      stopListening()
      timer?.cancel()
      await sweeping.idle()
    }
  }
}

const keyOf = ({ environment, host }: { environment: string; host: string }): string =>
  `${environment}/${host}`

/** A name may have got another agent since: what counts is whether a machine of this name is there. */
const tellIn = async (
  tx: Tx,
  { random, clock, link }: HostWatchPorts,
  gone: readonly AgentId[],
  returned: readonly AgentId[]
): Promise<Found> => {
  const agents = (await tx.agents()).filter(({ state }) => state === 'active')
  const known = await tx.lostHosts()
  const isTold = ({ environment, hostName }: AgentRow): boolean =>
    known.some((row) => row.environment === environment && row.host === hostName)
  const lost = agents.filter((row) => gone.includes(row.id) && !link.isConnected(row.id) && !isTold(row))
  const back = agents.filter((row) => returned.includes(row.id) && isTold(row))
  const nowMs = clock.nowMs()
  const added = lost.map(({ environment, hostName: host }) => ({ environment, host, sinceMs: nowMs }))
  for (const row of added) await tx.putLostHost(row)
  const isOver = ({ environment, host }: LostHostRow): boolean => {
    const named = agents.filter((row) => row.environment === environment && row.hostName === host)
    return named.length === 0 || named.some((row) => back.includes(row))
  }
  const over = known.filter(isOver)
  for (const { environment, host } of over) await tx.deleteLostHost(environment, host)
  const notices = [
    ...hostNotices('host.lost', lost.map(awayOf), nowMs),
    ...hostNotices('host.returned', back.map(awayOf), nowMs)
  ]
  await oweNotices(tx, random, notices, nowMs)
  return { lost, lostHosts: [...known.filter((row) => !over.includes(row)), ...added] }
}

const awayOf = ({ environment, hostName: host, id: agent, lastSeenAtMs }: AgentRow) => ({
  environment,
  host,
  agent,
  lastSeenAtMs
})
