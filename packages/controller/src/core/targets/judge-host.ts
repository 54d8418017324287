// How a service does on one host, and how the host differs from what was decided for it: judged from its latest
// inventory. Which hosts the service has, and what the current release is, is left to the caller; what is done about
// a difference is core/convergence.
import type { Inventory, InventoryContainer } from '@longshore/protocol'
import type { DriftKind, HostStatus } from '../../api/schemas.ts'

export type HostState = HostStatus['state']
export type HostJudgement = {
  state: HostState
  release: number | null
  /** In words, and by its kind; both or neither. */
  drift?: string
  driftKind?: DriftKind
  /** Ids of own containers that nothing wants on this host, as the inventory gives them. */
  unwanted: string[]
}
export type HostQuestion = {
  isConnected: boolean
  /** null: none arrived since the controller started. */
  inventory: Inventory | null
  environment: string
  service: string
  /** The release that the service runs; null: none, or none any more. */
  current: number | null
  /** Releases that the controller has a record of, and whether they are the current image and spec by another number. */
  releases: ReadonlyMap<number, { isAlike: boolean }>
  /** Its placement names this host. */
  isPlaced: boolean
  replicas: number
  /** Restarts of the containers that crash again and again, by id. */
  crashLoops: ReadonlyMap<string, number>
  /** A host has seen a later deployment than the one that decided: what is current may not be. */
  isOutdated: boolean
}
type Difference = { kind: DriftKind; text: string } | null

export const judgeHost = (question: HostQuestion): HostJudgement => {
  const { isConnected, inventory } = question
  const own = containersOf(question)
  const release = releaseOn(own)
  if (!isConnected) return { state: 'silent', release, unwanted: [] }
  if (inventory === null) return doubtful(release, 'no inventory has arrived yet')
  if (!inventory.isEngineReachable) return doubtful(release, 'its Docker Engine does not answer')
  const difference = differenceOf(question, own, release) ?? helperThatRuns(question)
  const isUnwanted = !question.isPlaced || question.current === null
  return {
    state: worstOf(own.filter((one) => one.release === release)),
    release,
    ...(difference === null ? {} : { drift: difference.text, driftKind: difference.kind }),
    unwanted: isUnwanted ? own.map(({ id }) => id) : []
  }
}

const doubtful = (release: number | null, drift: string): HostJudgement => ({
  state: 'unknown',
  release,
  drift,
  driftKind: 'unknown',
  unwanted: []
})

/** Not those that are kept for a revert or that run a command once; nor what never ran, or is going. */
const containersOf = ({ inventory, environment, service }: HostQuestion): InventoryContainer[] =>
  (inventory?.containers ?? []).filter(
    (one) =>
      one.environment === environment &&
      one.service === service &&
      one.role === 'serving' &&
      !one.isKept &&
      !['created', 'removing', 'dead'].includes(one.state)
  )

const isUp = ({ state }: InventoryContainer): boolean => state !== 'exited'

/** The highest release that runs; if none runs, the highest that is there. */
const releaseOn = (containers: InventoryContainer[]): number | null => {
  const up = containers.filter(isUp)
  const releases = (up.length > 0 ? up : containers).map((one) => one.release)
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

/** Against a decision that was overtaken nothing is missing, stale or too much: nobody here can say what should run. */
const differenceOf = (
  question: HostQuestion,
  own: InventoryContainer[],
  release: number | null
): Difference => {
  const difference = differenceFrom(question, own, release)
  const isByDecision = difference !== null && ['missing', 'stale', 'extra'].includes(difference.kind)
  if (!question.isOutdated || !isByDecision) return difference
  const why =
    'hosts know of a later deployment than this controller, so that nothing is done until the next one'
  return { kind: 'unknown', text: `${difference.text}; ${why}` }
}

const differenceFrom = (
  question: HostQuestion,
  own: InventoryContainer[],
  release: number | null
): Difference => {
  const { current, releases, isPlaced } = question
  if (release === null)
    return current === null || !isPlaced
      ? null
      : missing(`runs nothing, release ${current} is the current one`)
  if (!releases.has(release) && release !== current)
    return { kind: 'unknown', text: `runs release ${release}, which this controller has no record of` }
  if (current === null) return extra(`has release ${release}, and the service has no current release`)
  if (!isPlaced) return extra(`has release ${release}, and the service does not belong on this host`)
  const isRight = (one: InventoryContainer) =>
    one.release === current || releases.get(one.release)?.isAlike === true
  const wrong = own.find((one) => !isRight(one) && (isUp(one) || one.release === release))
  if (wrong !== undefined)
    return { kind: 'stale', text: `runs release ${wrong.release}, release ${current} is the current one` }
  return differenceInside(question, own.filter(isRight))
}

/** Whether or not a deployment waits for it: of one that nobody waits for any more, people have to know. */
const helperThatRuns = ({ inventory, environment, service }: HostQuestion): Difference => {
  const helper = (inventory?.containers ?? []).find(
    (one) =>
      one.environment === environment &&
      one.service === service &&
      one.role !== 'serving' &&
      ['running', 'paused'].includes(one.state)
  )
  if (helper === undefined) return null
  const what = helper.role === 'once' ? 'release command' : 'rehearsal'
  return extra(`a ${what} of release ${helper.release} still runs`)
}

/** The right release is there: is it whole, and as it was made? */
const differenceInside = (
  { replicas, crashLoops }: HostQuestion,
  serving: InventoryContainer[]
): Difference => {
  if (serving.length < replicas) return missing(`runs ${serving.length} of ${replicas} containers`)
  const up = serving.filter(isUp)
  if (up.length > replicas) return extra(`runs ${up.length} of ${replicas} containers`)
  const looping = serving.find(({ id }) => crashLoops.has(id))
  if (looping !== undefined) {
    const restarts = crashLoops.get(looping.id)
    return { kind: 'crash-looping', text: `${looping.name} was restarted ${restarts} times in 5 min` }
  }
  const changes = serving.flatMap((one) => changesOf(one).map((change) => `${one.name}: ${change}`))
  return changes.length === 0 ? null : { kind: 'changed', text: changes.join('; ') }
}

const changesOf = ({ state, exitCode, changes }: InventoryContainer): string[] => {
  if (state === 'exited') return [`is stopped${exitCode === null ? '' : ` (exit code ${exitCode})`}`]
  return state === 'paused' ? ['is paused', ...changes] : changes
}

const missing = (text: string): Difference => ({ kind: 'missing', text })
const extra = (text: string): Difference => ({ kind: 'extra', text })
