// Which release of a service is meant by a request? A new one of an image, a former one, the current one, or the one
// that another environment runs. Writes nothing; refuses with ApiError and says what there is instead.
import type { Digest } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { DeployWhat } from '../api/schemas.ts'
import { chooseFormer, goodReleases, isKept } from '../core/requests/choose-former.ts'
import { describeUnpromotable, refuseWay } from '../core/requests/decide-promotion.ts'
import type { Wish } from '../core/requests/wishes.ts'
import type { EnvironmentRow, Reads, ReleaseRow } from '../ports.ts'
import { requireEnvironment } from './require-named.ts'

/** One service of a request. */
export type Asked = Wish & { environment: EnvironmentRow['name'] }
/** What it is judged by. */
export type Ground = {
  current: ReleaseRow | undefined
  /** Number of the release if it is a new one. */
  nextRelease: number
}
export type Wanted = {
  release: number
  tag: string | null
  /** null: the tag has to be resolved. */
  digest: Digest | null
  /** undefined: what the latest spec says. */
  repository: string | undefined
  specRevision: number | undefined
  warnings: string[]
}

export const describeWanted = async (tx: Reads, asked: Asked, ground: Ground): Promise<Wanted> => {
  const { what } = asked
  const { nextRelease, current } = ground
  const fresh = { release: nextRelease, repository: undefined, specRevision: undefined, warnings: [] }
  switch (what.by) {
    case 'tag':
      return { ...fresh, tag: what.tag, digest: null }
    case 'digest':
      return { ...fresh, tag: null, digest: what.digest }
    case 'rollback':
      return describeFormer(tx, asked, what, current)
    case 'promote': {
      const { tag, digest, repository } = await findPromoted(tx, asked, what)
      return { ...fresh, tag, digest, repository }
    }
    case 'current':
      return again(requireCurrent(asked, current))
    case 'nothing':
      return again(current ?? (await requireAny(tx, asked)))
    default:
      return what satisfies never
  }
}

/** Code `promotion-required`; undefined: images may come in this way. */
export const findWrongWay = (
  { environment, service, what }: Asked,
  promotesFrom: EnvironmentRow['promotesFrom']
): ApiError | undefined => {
  const why = refuseWay({ environment, service, promotesFrom }, what)
  return why === null ? undefined : new ApiError('promotion-required', why)
}

const again = ({ number: release, tag, digest, repository, specRevision }: ReleaseRow): Wanted => ({
  release,
  tag,
  digest,
  repository,
  specRevision,
  warnings: []
})

/** @throws ApiError `unknown-release`, `not-good`, `nothing-to-roll-back-to`, with the good ones */
const describeFormer = async (
  tx: Reads,
  { environment, service }: Asked,
  { release: asked }: DeployWhat & { by: 'rollback' },
  current: ReleaseRow | undefined
): Promise<Wanted> => {
  const releases = await tx.releases({ environment, service })
  const former = chooseFormer(releases, current?.number ?? null, asked)
  if (former.kind === 'refused') {
    const known = goodReleases(releases).map(String)
    throw new ApiError(former.code, `${service} in ${environment}: ${former.why}`, { known })
  }
  const { release } = former
  const spec = await tx.spec(environment, service)
  const keepImages = spec?.spec.keepImages ?? 0
  const warnings = isKept(release, releases, current?.number ?? null, keepImages)
    ? []
    : [
        `release ${release.number} of ${service} is older than the images that hosts keep: those without it ask the registry`
      ]
  return { ...again(release), warnings }
}

/** @throws ApiError `unknown-environment`, `invalid-request`, `not-promotable` */
const findPromoted = async (
  tx: Reads,
  { environment, service }: Asked,
  { from, digest }: DeployWhat & { by: 'promote' }
): Promise<ReleaseRow> => {
  if (from === environment) throw new ApiError('invalid-request', `${from} cannot be promoted to itself`)
  await requireEnvironment(tx, from)
  if (digest !== undefined) {
    const good = (await tx.releases({ environment: from, service })).filter(
      ({ outcome }) => outcome === 'succeeded'
    )
    const wanted = good.find((release) => release.digest === digest)
    if (wanted !== undefined) return wanted
    throw new ApiError('not-promotable', `no release of ${service} with ${digest} has succeeded in ${from}`)
  }
  const current = await tx.currentRelease(from, service)
  if (current !== undefined && current.digest !== null) return current
  const [newest] = await tx.releases({ environment: from, service, limit: 1 })
  throw new ApiError('not-promotable', describeUnpromotable({ service, from }, newest))
}

/** @throws ApiError `wrong-state` */
const requireCurrent = ({ environment, service }: Asked, current: ReleaseRow | undefined): ReleaseRow => {
  if (current !== undefined) return current
  throw new ApiError('wrong-state', `${service} in ${environment} has no current release`)
}

/** The newest release, whatever became of it: hosts may have something of it. @throws ApiError `wrong-state` */
const requireAny = async (tx: Reads, { environment, service }: Asked): Promise<ReleaseRow> => {
  const [newest] = await tx.releases({ environment, service, limit: 1 })
  if (newest !== undefined) return newest
  throw new ApiError('wrong-state', `${service} in ${environment} has never had a release`)
}
