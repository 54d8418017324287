// What people may still say to a deployment in progress: end it, or go on after a failure.
import { ApiError } from '../api/errors.ts'
import type { Actor, Clock, DeploymentRow, Tx } from '../ports.ts'
import type { Driver } from './drive-deployments.ts'
import { requireUnfrozen } from './freezes.ts'
import type { Committed } from './persist-step.ts'
import { requireDeployment } from './require-named.ts'

type Ports = { clock: Clock; driver: Driver }
/** `committed` is undefined when the wish was known already. */
export type Steered = { row: DeploymentRow; committed: Committed | undefined }

/** @throws ApiError `unknown-deployment`, `already-ended` */
export const cancelDeployment = async (tx: Tx, ports: Ports, actor: Actor, id: string): Promise<Steered> =>
  tell(tx, ports, await requireGoing(tx, id), { kind: 'cancelRequested', by: actor.name })

/** @throws ApiError `unknown-deployment`, `already-ended`, `not-paused`, `frozen`: more would be changed */
export const resumeDeployment = async (tx: Tx, ports: Ports, actor: Actor, id: string): Promise<Steered> => {
  const row = await requireGoing(tx, id)
  if (row.phase !== 'paused') throw new ApiError('not-paused', `${id} is ${row.phase}, not paused`)
  for (const { service } of await tx.deploymentServices(id))
    await requireUnfrozen(tx, { environment: row.environment, service })
  return tell(tx, ports, row, { kind: 'resumed', by: actor.name })
}

const tell = async (
  tx: Tx,
  { clock, driver }: Ports,
  row: DeploymentRow,
  wish: { kind: 'cancelRequested' | 'resumed'; by: string }
): Promise<Steered> => {
  const committed = await driver.step(tx, row.id, { ...wish, atMs: clock.nowMs() })
  return { row: committed?.after ?? row, committed }
}

const requireGoing = async (tx: Tx, id: string): Promise<DeploymentRow> => {
  const row = await requireDeployment(tx, id)
  if (row.phase === 'ended') throw new ApiError('already-ended', `${id} has ended: ${row.outcome}`)
  return row
}
