// How a service does on one host, and how the host differs from the current release: judged from its latest
// inventory. Which hosts the service has, and what the current release is, is left to the caller.
import type { Inventory, InventoryContainer } from '@longshore/protocol'

export type HostState =
  | 'running'
  | 'starting'
  | 'unhealthy'
  | 'restarting'
  | 'stopped'
  | 'missing'
  | 'silent'
  | 'unknown'
export type HostJudgement = { state: HostState; release: number | null; drift?: string }
export type HostQuestion = {
  isConnected: boolean
  /** null: none arrived since the controller started. */
  inventory: Inventory | null
  environment: string
  service: string
  /** The last release that succeeded. */
  current: number | null
  replicas: number
}

export const judgeHost = (question: HostQuestion): HostJudgement => {
  const { isConnected, inventory } = question
  const own = containersOf(question)
  const release = releaseOn(own)
  if (!isConnected) return { state: 'silent', release }
  if (inventory === null) return { state: 'unknown', release, drift: 'no inventory has arrived yet' }
  if (!inventory.isEngineReachable)
    return { state: 'unknown', release, drift: 'its Docker Engine does not answer' }
  const serving = own.filter((container) => container.release === release)
  const drift = driftOf(question, release, serving.length)
  return { state: worstOf(serving), release, ...(drift === null ? {} : { drift }) }
}

/** Without those that are kept for a revert: they are not meant to run. */
const containersOf = ({ inventory, environment, service }: HostQuestion): InventoryContainer[] =>
  (inventory?.containers ?? []).filter(
    (one) => one.environment === environment && one.service === service && !one.isKept
  )

/** The highest release that runs; if none runs, the highest that is there. */
const releaseOn = (containers: InventoryContainer[]): number | null => {
  const running = containers.filter((one) => one.state === 'running')
  const releases = (running.length > 0 ? running : containers).map((one) => one.release)
  return releases.length === 0 ? null : Math.max(...releases)
}

/** A host does as well as the worst of its containers. */
const worstFirst: HostState[] = ['restarting', 'unhealthy', 'stopped', 'starting', 'running']

const worstOf = (containers: InventoryContainer[]): HostState => {
  const states = containers.map(stateOfContainer)
  return worstFirst.find((state) => states.includes(state)) ?? 'missing'
}

const stateOfContainer = ({ state, health }: InventoryContainer): HostState => {
  if (state === 'restarting') return 'restarting'
  if (state !== 'running') return 'stopped'
  if (health === 'unhealthy') return 'unhealthy'
  return health === 'starting' ? 'starting' : 'running'
}

const driftOf = (
  { current, replicas }: HostQuestion,
  release: number | null,
  count: number
): string | null => {
  if (current === null) return release === null ? null : `runs release ${release}, which never succeeded`
  if (release === null) return `runs nothing, release ${current} is the current one`
  if (release !== current) return `runs release ${release}, release ${current} is the current one`
  return count === replicas ? null : `runs ${count} of ${replicas} containers`
}
