// The settings of an environment: what it does by itself, and where its images come from.
import { type ImageSource, parseSource, sourceText } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { EnvironmentSettings, EnvironmentView } from '../api/schemas.ts'
import { isRing } from '../core/requests/promotion-chain.ts'
import type { EnvironmentRow, Tx } from '../ports.ts'
import { requireEnvironment } from './require-named.ts'

/** @throws ApiError `unknown-environment`; `invalid-request` when nothing could ever be deployed there */
export const setEnvironment = async (
  tx: Tx,
  name: string,
  { heal, promotesFrom, sources }: EnvironmentSettings
): Promise<EnvironmentRow> => {
  const former = await requireEnvironment(tx, name)
  const source = promotesFrom === undefined ? former.promotesFrom : promotesFrom
  if (source !== null) {
    await requireEnvironment(tx, source)
    const way = source === name ? '' : `, by way of ${source}`
    if (isRing(await tx.environments(), name, source))
      throw new ApiError('invalid-request', `${name} would take its images from itself${way}`)
  }
  const row = {
    ...former,
    heal: heal ?? former.heal,
    promotesFrom: source,
    sources: sources === undefined ? former.sources : readSources(sources)
  }
  await tx.putEnvironment(row)
  return row
}

/** The schema of the API lets nothing else through. */
const readSources = (sources: readonly string[] | null): ImageSource[] | null =>
  sources?.flatMap((text) => parseSource(text) ?? []) ?? null

/** Settings as the API shows them. */
export const viewSettings = ({
  sources,
  ...row
}: EnvironmentRow): Omit<EnvironmentView, 'agents' | 'freeze'> => ({
  ...row,
  sources: sources?.map(sourceText) ?? null
})

/** @throws ApiError `in-use` */
export const requireNoHeir = async (tx: Tx, name: string): Promise<void> => {
  const heirs = (await tx.environments()).filter(({ promotesFrom }) => promotesFrom === name)
  if (heirs.length === 0) return
  const names = heirs.map((heir) => heir.name).join(', ')
  throw new ApiError('in-use', `images are promoted from ${name} to ${names}`)
}
