// What is to be done in one environment so that its hosts run what was decided: which hosts begin now, whose tries
// are over, and when to look again. Reads only; engine/converge.ts does it.
import { type AgentId, isLook, type ServiceSpec } from '@longshore/protocol'
import {
  type Action,
  type ConvergenceDecision,
  type Desired,
  decideConvergence,
  isWorthKeeping,
  mayLeave
} from '../core/convergence/decide.ts'
import { admit } from '../core/convergence/pace.ts'
import type { ConvergenceRow, EnvironmentRow, Reads } from '../ports.ts'
import type { HostMemory } from './host-knowledge.ts'
import { type JudgedHost, type JudgedService, judgeService } from './judge-service.ts'

type Key = Pick<ConvergenceRow, 'environment' | 'service' | 'agent'>
export type Change =
  | {
      kind: 'start'
      at: Key
      desired: Desired
      action: Action
      tries: number
      servedNothing: boolean
      host: string
      drift: string
    }
  | { kind: 'give-up'; row: ConvergenceRow; host: string; reason: string }
  | { kind: 'forget'; at: Key }
export type ConvergencePlan = {
  changes: Change[]
  /** null: not before something happens. */
  wakeAtMs: number | null
}

/** @param nowMs by the controller's clock */
export const planConvergence = async (
  reads: Reads,
  hosts: HostMemory,
  environment: EnvironmentRow,
  nowMs: number
): Promise<ConvergencePlan> => {
  const { name } = environment
  const free: ConvergenceRow['service'][] = []
  for (const { service } of await reads.specs({ environment: name }))
    if ((await reads.lock(name, service)) === undefined) free.push(service)
  if (free.length === 0) return { changes: [], wakeAtMs: null }
  const agents = await reads.agents({ environment: name })
  const rows = await reads.convergences({ environment: name })
  const asked: { scene: ServiceScene; decided: Decided[] }[] = []
  for (const service of free) {
    const judged = await judgeService(reads, hosts, agents, { environment: name, service })
    const own = rows.filter((row) => row.service === service)
    const leaving = mayLeave(judged.decided, judged.hosts)
    const scene = { environment, service, judged, rows: own, mayLeave: leaving, hosts, nowMs }
    asked.push({ scene, decided: judged.hosts.map((host) => decideFor(scene, host, false)) })
  }
  const starting = asked.flatMap(({ decided }) => decided.filter(isStart))
  const busy = await listBusy(reads, starting)
  const plans = asked.map(({ scene, decided }) => {
    const isBusy = ({ agent }: Decided) => busy.has(busyKey(agent, scene.service))
    const settled = decided.map((one) => (isBusy(one) ? decideFor(scene, one, true) : one))
    return planService(scene, settled)
  })
  const moments = plans.flatMap(({ wakeAtMs }) => wakeAtMs ?? [])
  return {
    changes: plans.flatMap(({ changes }) => changes),
    wakeAtMs: moments.length === 0 ? null : Math.min(...moments)
  }
}

const isStart = ({ decision }: Decided): boolean => decision.kind === 'start'

/** `agent service` of every run on these hosts that is not known to have ended. */
const listBusy = async (reads: Reads, hosts: readonly JudgedHost[]): Promise<ReadonlySet<string>> => {
  const busy = new Set<string>()
  for (const agent of new Set(hosts.map((host) => host.agent))) {
    for (const { kind, service } of await reads.outbox({ agent, isEnded: false }))
      if (!isLook(kind)) busy.add(busyKey(agent, service))
  }
  return busy
}
const busyKey = (agent: string, service: string): string => `${agent} ${service}`

type ServiceScene = {
  environment: EnvironmentRow
  service: ConvergenceRow['service']
  judged: JudgedService
  rows: ConvergenceRow[]
  mayLeave: boolean
  hosts: HostMemory
  nowMs: number
}
type Decided = JudgedHost & {
  row: ConvergenceRow | undefined
  desired: Desired
  decision: ConvergenceDecision
  /** Nothing is lost there whatever is tried. */
  servesNothing: boolean
}

const planService = (scene: ServiceScene, decided: readonly Decided[]): ConvergencePlan => {
  const { environment, service, judged, rows, nowMs } = scene
  const at = (agent: AgentId): Key => ({ environment: environment.name, service, agent })
  const starting = decided.filter(isStart)
  const running = decided.filter(({ row }) => row?.deployment != null)
  const pace = paceOf(judged.spec, decided.filter(({ isPlaced }) => isPlaced).length)
  const changes: Change[] = admit(running, starting, pace).flatMap((one) => startOf(one, at(one.agent)))
  for (const { agent, host, row, decision } of decided) {
    if (row === undefined) continue
    if (decision.kind === 'give-up' && row.reason !== decision.reason)
      changes.push({ kind: 'give-up', row, host, reason: decision.reason })
    if (decision.kind === 'nothing' && decision.isAtRest && !isWorthKeeping(row, nowMs))
      changes.push({ kind: 'forget', at: at(agent) })
  }
  const known = new Set(judged.hosts.map(({ agent }) => agent))
  for (const row of rows)
    if (!known.has(row.agent) && row.deployment === null) changes.push({ kind: 'forget', at: at(row.agent) })
  const waits = decided.flatMap(({ decision }) => (decision.kind === 'wait' ? decision.untilMs : []))
  return { changes, wakeAtMs: waits.length === 0 ? null : Math.min(...waits) }
}

const paceOf = (spec: ServiceSpec | undefined, hosts: number) => ({
  parallelism: spec?.update.parallelism ?? ({ unit: 'count', value: 1 } as const),
  hosts
})

const startOf = ({ decision, desired, host, judgement, servesNothing }: Decided, at: Key): Change[] =>
  decision.kind !== 'start'
    ? []
    : [
        {
          kind: 'start',
          at,
          desired,
          host,
          action: decision.action,
          tries: decision.tries,
          servedNothing: servesNothing,
          drift: judgement.drift ?? ''
        }
      ]

const decideFor = (scene: ServiceScene, host: JudgedHost, isBusy: boolean): Decided => {
  const { environment, judged, rows, hosts, nowMs } = scene
  const row = rows.find(({ agent }) => agent === host.agent)
  const { release = null, generation = 0 } = judged.decided ?? {}
  const desired = { release: host.isPlaced ? release : null, generation }
  const decision = decideConvergence({
    nowMs,
    desired,
    judgement: host.judgement,
    soFar: row,
    isLeft: host.isLeft,
    isHealing: environment.heal,
    isBusy,
    trustedFromMs: nowMs + hosts.lagMs(host.agent),
    mayLeave: scene.mayLeave
  })
  const servesNothing = row?.deployment == null ? host.judgement.release === null : row.servedNothing
  return { ...host, row, desired, decision, servesNothing }
}
