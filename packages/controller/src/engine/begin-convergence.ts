// One host, one service, to the release that is current: a deployment that the controller begins itself. It takes no
// lock and gives way to every deployment of the service. When one is due is left to the caller.
import { type AgentId, type DeploymentId, formatId } from '@longshore/protocol'
import type { Requested } from '../core/deployment/events.ts'
import { type Part, preemptedBy } from '../core/deployment/state.ts'
import { chooseCache } from '../core/requests/choose-cache.ts'
import { chooseSources } from '../core/requests/choose-sources.ts'
import type { Actor, Clock, DeploymentRow, Random, ReleaseRow, Tx } from '../ports.ts'
import type { Driver } from './drive-deployments.ts'
import type { Committed } from './persist-step.ts'
import { asCurrent, partOfSpec, timingOf } from './request-deployment.ts'
import { stateOf } from './view-deployment.ts'

export type ConvergencePorts = {
  clock: Clock
  random: Random
  driver: Driver
  settings: { lostAfterMs: number; pauseLimitMs: number }
  isConnected(agent: AgentId): boolean
}
/** Which host is to be brought to what its environment runs, or to be freed of what it should not run. */
export type Convergence = Pick<DeploymentRow, 'environment' | 'service'> & {
  agent: AgentId
  /** Make the containers anew although the release runs: they were changed by hand. */
  recreate: boolean
  /** Instead: these containers of the service are taken away, by Docker's ids. */
  removed?: string[]
}

/** Whom lists and audit name as the requester. */
const requester = 'convergence'
const actor: Actor = { kind: 'controller', id: requester, name: requester, address: '' }

/**
 * Hand the result to `driver.follow` after the commit.
 * @returns undefined when there is nothing to bring (the service has no current release, the agent is gone), or when
 *   the service is locked: the deployment that holds it decides
 */
export const beginConvergence = async (
  tx: Tx,
  ports: ConvergencePorts,
  wish: Convergence
): Promise<Committed | undefined> => {
  const { environment, service } = wish
  if ((await tx.lock(environment, service)) !== undefined) return undefined
  const requested = await describeConvergence(tx, ports, wish)
  const [part] = requested?.parts ?? []
  if (requested === undefined || part === undefined) return undefined
  const { generation, release } = part
  const counters = await tx.counters(environment, service)
  await tx.putCounters(environment, service, { ...counters, generation })
  const row = {
    id: requested.id,
    mode: 'converge',
    service,
    environment,
    what: { by: wish.removed === undefined ? 'current' : 'nothing' },
    phase: 'requested',
    outcome: null,
    release,
    generation,
    requestedBy: requester,
    requestReason: null,
    build: null,
    attemptOf: null,
    requestedAtMs: requested.atMs,
    endedAtMs: null
  } as const
  return ports.driver.begin(tx, row, requested, actor)
}

const describeConvergence = async (
  tx: Tx,
  ports: ConvergencePorts,
  { environment, service, agent, recreate, removed }: Convergence
): Promise<Requested | undefined> => {
  const current = await tx.currentRelease(environment, service)
  const row = current ?? (removed === undefined ? undefined : await lastRelease(tx, environment, service))
  const content = row === undefined ? null : asCurrent(row)
  const host = await tx.agent(agent)
  if (row === undefined || content === null || host === undefined) return undefined
  const spec = await tx.spec(environment, service, row.specRevision)
  if (spec === undefined) return undefined
  const { generation } = await tx.counters(environment, service)
  const sources = (await tx.environment(environment))?.sources ?? null
  const former = await findFormer(tx, row)
  return {
    kind: 'requested',
    atMs: ports.clock.nowMs(),
    id: formatId<DeploymentId>('dep', ports.random.bytes(13)),
    environment,
    mode: 'converge',
    offline: 'fail',
    timing: timingOf([spec.spec], ports.settings),
    warnings: [],
    refusals: [],
    parts: [
      {
        ...content,
        ...partOfSpec(spec),
        service,
        generation: generation + 1,
        current: current === undefined ? null : content,
        tag: row.tag,
        sources:
          former?.sources === undefined || (spec.spec.sources ?? sources) !== null
            ? chooseSources({ service: spec.spec.sources, environment: sources, hasArtifact: false })
            : former.sources,
        artifact: former?.artifact ?? null,
        cache: removed === undefined ? chooseCache(spec.spec, [host]) : null,
        recreate,
        replace: null,
        releaseCommand: null,
        removal: removed === undefined ? null : { containers: removed },
        knownTags: []
      }
    ],
    targets: [{ service, agent, host: host.hostName, isConnected: ports.isConnected(agent) }]
  }
}

/** What the deployment that brought the release knew: nobody is asked again for one host. */
const findFormer = async (tx: Tx, { deployment, service }: ReleaseRow): Promise<Part | undefined> => {
  const row = await tx.deployment(deployment)
  return row && stateOf(row).parts.find((part) => part.service === service)
}

/** Names what is taken away after the service was removed: it has no current release then, and may never have had one. */
const lastRelease = async (tx: Tx, environment: string, service: string): Promise<ReleaseRow | undefined> => {
  const [newest] = await tx.releases({ environment, service, limit: 1 })
  return newest
}

/** A deployment of a service goes before convergence of it: what runs is cancelled and undoes itself. */
export const preemptConvergences = async (
  tx: Tx,
  { clock, driver }: Pick<ConvergencePorts, 'clock' | 'driver'>,
  { environment, services, by }: { environment: string; services: string[]; by: DeploymentId }
): Promise<(Committed | undefined)[]> => {
  const committed: (Committed | undefined)[] = []
  for (const row of await tx.deployments({ environment, isEnded: false })) {
    const { mode, parts } = stateOf(row)
    if (mode !== 'converge' || !parts.some(({ service }) => services.includes(service))) continue
    const event = { kind: 'cancelRequested', atMs: clock.nowMs(), by: preemptedBy(by) } as const
    committed.push(await driver.step(tx, row.id, event))
  }
  return committed
}
