// What would change on a host: from the spec of the release that serves there to the one that is planned.
import type { RunReport } from '@longshore/protocol'
import type { SpecChange } from '../api/schemas.ts'
import { partOf } from '../core/deployment/state.ts'
import type { OutboxRow, Reads } from '../ports.ts'
import { stateOf } from './view-deployment.ts'

/** @returns nothing for a report that is no plan, and where nothing of ours serves */
export const comparePlan = async (
  reads: Reads,
  { deployment, service }: OutboxRow,
  { outcome }: RunReport
): Promise<SpecChange[]> => {
  if (outcome.status !== 'succeeded' || outcome.result.kind !== 'plan') return []
  const row = await reads.deployment(deployment)
  const release = outcome.result.serves?.release ?? null
  if (row === undefined || release === null) return []
  const former = await reads.release(row.environment, service, release)
  const { specRevision } = partOf(stateOf(row), { service })
  const before = former && (await reads.spec(row.environment, service, former.specRevision))
  const after = await reads.spec(row.environment, service, specRevision)
  if (before === undefined || after === undefined) return []
  const { diffSpecs } = await import('@longshore/protocol/spec')
  return diffSpecs(before.spec, after.spec)
}
