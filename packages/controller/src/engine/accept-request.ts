// A request with an idempotency key may have been made before: then its deployment is the answer, or a new attempt is
// linked to it. The key is stored with the deployment, in one transaction: a controller that dies before it has
// answered knows at the next request that it was accepted.
import type { DeploymentId } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployRequest } from '../api/schemas.ts'
import { type Attempt, decideAttempt, type FormerAttempt } from '../core/requests/decide-attempt.ts'
import { requestText } from '../core/requests/request-text.ts'
import type { Actor, DeploymentRow, Reads, Tx } from '../ports.ts'
import { type BeginPorts, beginDeployment } from './begin-deployment.ts'
import type { Committed } from './persist-step.ts'
import { stateOf } from './view-deployment.ts'

/** `committed` goes to `driver.follow` after the commit. */
export type Accepted = { row: DeploymentRow; isAttached: boolean; committed: (Committed | undefined)[] }

/** @throws ApiError when anything is wrong: then nothing is written, the key neither */
export const acceptRequest = async (
  tx: Tx,
  ports: BeginPorts,
  actor: Actor,
  request: DeployRequest
): Promise<Accepted> => {
  const attempt = await findAttempt(tx, request)
  if (attempt.kind === 'attach') return attach(tx, attempt.deployment)
  const attemptOf = attempt.kind === 'again' ? attempt.attemptOf : null
  const { begun, all } = await beginDeployment(tx, ports, actor, request, attemptOf)
  const { id, requestedAtMs } = begun.after
  await keepKey(tx, request, { first: attemptOf ?? id, deployment: id, createdAtMs: requestedAtMs })
  return { row: begun.after, isAttached: false, committed: all }
}

/** A plan changes nothing, so that it may be repeated as often as wanted. */
const keyOf = ({ mode, idempotencyKey }: DeployRequest): string | null =>
  mode === 'plan' ? null : idempotencyKey

/** @throws ApiError `idempotency-conflict`, naming what the key began */
const findAttempt = async (
  tx: Reads,
  request: DeployRequest
): Promise<Exclude<Attempt, { kind: 'conflict' }>> => {
  const key = keyOf(request)
  if (key === null) return { kind: 'fresh' }
  const kept = await tx.idempotencyKey(request.environment, key)
  const former = kept && (await findFormer(tx, kept.deployment))
  const attempt = decideAttempt(kept, former, requestText(request))
  if (attempt.kind !== 'conflict') return attempt
  const { first } = attempt
  const detail = `the idempotency key ${key} was used in ${request.environment} for another request, which began ${first}`
  throw new ApiError('idempotency-conflict', detail, { deployment: first })
}

const findFormer = async (tx: Reads, id: string): Promise<FormerAttempt | undefined> => {
  const row = await tx.deployment(id)
  if (row === undefined) return undefined
  const { outcome, mode, parts } = stateOf(row)
  if (mode === 'rehearse' || mode === 'upgrade') return { outcome, services: null }
  const services: { release: number | null; current: number | null }[] = []
  for (const { service, release } of parts) {
    const current = (await tx.currentRelease(row.environment, service))?.number ?? null
    services.push({ release: mode === 'remove' ? null : release, current })
  }
  return { outcome, services }
}

const attach = async (tx: Reads, id: DeploymentId): Promise<Accepted> => {
  const row = await tx.deployment(id)
  if (row === undefined) throw new TypeError(`the deployment ${id} of a key is gone`)
  return { row, isAttached: true, committed: [] }
}

const keepKey = async (
  tx: Tx,
  request: DeployRequest,
  row: { first: DeploymentId; deployment: DeploymentId; createdAtMs: number }
): Promise<void> => {
  const key = keyOf(request)
  if (key === null) return
  await tx.putIdempotencyKey({ ...row, environment: request.environment, key, request: requestText(request) })
}
