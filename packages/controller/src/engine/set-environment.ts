// The settings of an environment: what it does by itself, and where its images come from.
import { ApiError } from '../api/errors.ts'
import type { EnvironmentSettings } from '../api/schemas.ts'
import { isRing } from '../core/requests/promotion-chain.ts'
import type { EnvironmentRow, Tx } from '../ports.ts'
import { requireEnvironment } from './require-named.ts'

/** @throws ApiError `unknown-environment`; `invalid-request` when nothing could ever be deployed there */
export const setEnvironment = async (
  tx: Tx,
  name: string,
  { heal, promotesFrom }: EnvironmentSettings
): Promise<EnvironmentRow> => {
  const former = await requireEnvironment(tx, name)
  const source = promotesFrom === undefined ? former.promotesFrom : promotesFrom
  if (source !== null) {
    await requireEnvironment(tx, source)
    const way = source === name ? '' : `, by way of ${source}`
    if (isRing(await tx.environments(), name, source))
      throw new ApiError('invalid-request', `${name} would take its images from itself${way}`)
  }
  const row = { ...former, heal: heal ?? former.heal, promotesFrom: source }
  await tx.putEnvironment(row)
  return row
}

/** @throws ApiError `in-use` */
export const requireNoHeir = async (tx: Tx, name: string): Promise<void> => {
  const heirs = (await tx.environments()).filter(({ promotesFrom }) => promotesFrom === name)
  if (heirs.length === 0) return
  const names = heirs.map((heir) => heir.name).join(', ')
  throw new ApiError('in-use', `images are promoted from ${name} to ${names}`)
}
