// Whether something else listens on a port that HAProxy is to open. Two listeners with SO_REUSEPORT do not collide:
// each gets a part of the connections, so a stranger is looked for before HAProxy is started or reloaded.
import { doAddressesOverlap } from '../../core/proxy/conflicts.ts'
import type { RoutedPort, ServiceRoute } from '../../core/proxy/routes.ts'
import type { ProxyFiles } from './files.ts'
import { findByConfig, findListeners, type Listener, programOf } from './processes.ts'

/** @returns for people: which port is held by whom; undefined when none is, as far as can be seen */
export const findTakenPort = async (
  files: ProxyFiles,
  wanted: readonly ServiceRoute[]
): Promise<string | undefined> => {
  const ours = new Set(findByConfig(files.config))
  for (const port of wanted.flatMap(({ ports }) => ports)) {
    const stranger = findListeners(port.published).find(
      (one) => doAddressesOverlap(port.hostIp, one.address) && isForeign(one, ours)
    )
    if (stranger !== undefined) return describe(port, stranger)
  }
  return undefined
}

/** A process that cannot be looked into may be our own, in a unit or in a container. */
const isForeign = ({ pids }: Listener, ours: ReadonlySet<number>): boolean =>
  pids.length > 0 && !pids.some((pid) => ours.has(pid))

const describe = ({ published }: RoutedPort, { pids: [pid = 0] }: Listener): string =>
  `port ${published} is held by ${programOf(pid)} (process ${pid})`
