// The releases of services, newest first: which one is current, and whose image is still on the hosts.
import type { ReleaseView } from '../api/schemas.ts'
import { isKept } from '../core/requests/choose-former.ts'
import type { Reads, ReleaseRow } from '../ports.ts'

type Filter = Parameters<Reads['releases']>[0]

export const listReleases = async (store: Reads, filter: Filter): Promise<ReleaseView[]> => {
  const rows = await store.releases(filter)
  const grounds = new Map<string, Ground>()
  const views: ReleaseView[] = []
  for (const row of rows) {
    const key = `${row.environment}/${row.service}`
    const ground = grounds.get(key) ?? (await groundOf(store, row))
    grounds.set(key, ground)
    views.push(viewRelease(row, ground))
  }
  return views
}

/** What the releases of one service are judged by. */
type Ground = { all: ReleaseRow[]; current: number | null; keepImages: number }

const groundOf = async (store: Reads, { environment, service }: ReleaseRow): Promise<Ground> => {
  const current = await store.currentRelease(environment, service)
  const spec = await store.spec(environment, service)
  return {
    all: await store.releases({ environment, service }),
    current: current?.number ?? null,
    keepImages: spec?.spec.keepImages ?? 0
  }
}

const viewRelease = (row: ReleaseRow, { all, current, keepImages }: Ground): ReleaseView => {
  const { number: release, ...rest } = row
  return {
    ...rest,
    release,
    isCurrent: release === current,
    isKept: isKept(row, all, current, keepImages)
  }
}
