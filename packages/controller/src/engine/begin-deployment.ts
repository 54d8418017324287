// From a request to the first step of a deployment, in one transaction: the locks of all its services or none, their
// generations, and the convergences that give way.
import { type DeploymentId, formatId } from '@longshore/protocol'
import type { DeployRequest } from '../api/schemas.ts'
import type { Requested } from '../core/deployment/events.ts'
import { type Actor, type DeploymentRow, type LockRow, StoreConflict, type Tx } from '../ports.ts'
import { type ConvergencePorts, preemptConvergences } from './begin-convergence.ts'
import type { KnownArtifacts } from './find-artifacts.ts'
import type { Committed } from './persist-step.ts'
import { describeRequest, requireUnlocked } from './request-deployment.ts'

export type BeginPorts = ConvergencePorts & {
  lease: { owner: string; leaseMs: number }
  /** Of this request. */
  artifacts: KnownArtifacts
}
/** `begun` is what was asked for; `all` goes to `driver.follow` after the commit. */
export type Begun = { begun: Committed; all: (Committed | undefined)[] }

/** @throws ApiError when anything named does not exist or is taken: then nothing is written */
export const beginDeployment = async (
  tx: Tx,
  ports: BeginPorts,
  actor: Actor,
  request: DeployRequest,
  attemptOf: DeploymentId | null
): Promise<Begun> => {
  const id = formatId<DeploymentId>('dep', ports.random.bytes(13))
  const nowMs = ports.clock.nowMs()
  const { lostAfterMs, pauseLimitMs } = ports.settings
  const { isConnected, artifacts } = ports
  const context = { tx, id, nowMs, lostAfterMs, pauseLimitMs, artifacts, isConnected }
  const requested = await describeRequest(request, context)
  const row = rowOf(actor, request, requested, attemptOf)
  if (requested.mode === 'plan') {
    const begun = await ports.driver.begin(tx, row, requested, actor)
    return { begun, all: [begun] }
  }
  const { owner, leaseMs } = ports.lease
  const held = { holder: actor.name, reason: request.reason, owner, leaseUntilMs: nowMs + leaseMs }
  await holdServices(tx, requested, held)
  const { environment } = request
  const services = requested.parts.map(({ service }) => service)
  const preempted = await preemptConvergences(tx, ports, { environment, services, by: id })
  const begun = await ports.driver.begin(tx, row, requested, actor)
  return { begun, all: [...preempted, begun] }
}

type Held = Pick<LockRow, 'holder' | 'reason' | 'owner' | 'leaseUntilMs'>

const holdServices = async (tx: Tx, requested: Requested, held: Held): Promise<void> => {
  const { id: deployment, environment, atMs: sinceMs } = requested
  for (const { service, generation } of requested.parts) {
    await lockService(tx, { environment, service, deployment, sinceMs, ...held })
    const counters = await tx.counters(environment, service)
    await tx.putCounters(environment, service, { ...counters, generation })
  }
}

/** The database grants the lock; whoever loses the race is told who won it. */
const lockService = async (tx: Tx, lock: LockRow): Promise<void> => {
  try {
    await tx.insertLock(lock)
  } catch (error) {
    if (error instanceof StoreConflict) await requireUnlocked(tx, lock)
    throw error
  }
}

const rowOf = (
  actor: Actor,
  { what, reason, build }: DeployRequest,
  { id, environment, mode, atMs, parts }: Requested,
  attemptOf: DeploymentId | null
): Omit<DeploymentRow, 'state'> => {
  const [first] = parts
  if (first === undefined) throw new TypeError('a request names at least one service')
  return {
    id,
    mode,
    service: first.service,
    environment,
    what,
    phase: 'requested',
    outcome: null,
    release: first.release,
    generation: first.generation,
    requestedBy: actor.name,
    requestReason: reason,
    build,
    attemptOf,
    requestedAtMs: atMs,
    endedAtMs: null
  }
}
