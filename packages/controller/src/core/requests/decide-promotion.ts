// May an image come into an environment in the way that was asked for? An environment may take images from another
// one only, where they have succeeded.
import type { DeployWhat } from '../../api/schemas.ts'
import type { Outcome } from '../deployment/vocabulary.ts'

export type PromotionRule = {
  environment: string
  service: string
  /** Where its images come from; null: from anywhere. */
  promotesFrom: string | null
}

/** @returns why not, with the command that would do; null: nothing is against it */
export const refuseWay = (
  { environment, service, promotesFrom }: PromotionRule,
  what: DeployWhat
): string | null => {
  if (promotesFrom === null) return null
  const isOther = what.by === 'promote' && what.from !== promotesFrom
  if (!isOther && what.by !== 'tag' && what.by !== 'digest') return null
  const command = `longshore promote ${service} --from ${promotesFrom} --to ${environment}`
  return `${environment} takes images by promotion from ${promotesFrom} only: ${command}`
}

/**
 * Why nothing can be promoted: what is in the environment instead of a current release.
 * @param newest the newest release there, whatever came of it
 */
export const describeUnpromotable = (
  { service, from }: { service: string; from: string },
  newest: { number: number; outcome: Outcome | null } | undefined
): string => {
  const place = `${service} in ${from}`
  if (newest === undefined) return `${place} has never had a release`
  if (newest.outcome === null)
    return `${place} has no current release; release ${newest.number} has not ended`
  return newest.outcome === 'succeeded'
    ? `${place} has no current release: it was removed`
    : `${place} has no current release: release ${newest.number} was ${newest.outcome}`
}
