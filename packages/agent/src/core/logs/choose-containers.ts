// Which containers of a service does a reader of logs mean? Those that run, and of those that do not the ones of the
// newest release: what crashed is what people look for. Kept ones of former releases are not meant.
import type { EnvironmentName, InstallationId, ServiceName } from '@longshore/protocol'
import { isUp, type Ownership, type SeenContainer } from '../observation.ts'

export type LoggedContainer = { id: string; name: string; release: number; index: number; isUp: boolean }
type Wanted = { installation: InstallationId; environment: EnvironmentName; service: ServiceName }

/** In the order of releases, replicas and creation. */
export const chooseLogged = (containers: readonly SeenContainer[], wanted: Wanted): LoggedContainer[] => {
  const own = containers.flatMap((one) => (isWanted(one.owner, wanted) ? [{ ...one, owner: one.owner }] : []))
  const newest = Math.max(...own.map(({ owner }) => owner.release))
  return own
    .filter((one) => isUp(one) || one.owner.release === newest)
    .sort(
      (a, b) =>
        a.owner.release - b.owner.release || a.owner.index - b.owner.index || a.createdAtMs - b.createdAtMs
    )
    .map((one) => ({
      id: one.id,
      name: one.name.slice(0, 255),
      release: one.owner.release,
      index: one.owner.index,
      isUp: isUp(one)
    }))
}

const isWanted = (
  owner: Ownership | null,
  { installation, environment, service }: Wanted
): owner is Ownership =>
  owner !== null &&
  owner.purpose === 'serving' &&
  owner.installation === installation &&
  owner.environment === environment &&
  owner.service === service
