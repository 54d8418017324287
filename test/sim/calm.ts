// What must hold once everything has come back and calmed down: what is said is what runs, nothing is held, nothing
// is left over, and the events of every deployment give its state again.
import { isDeepStrictEqual } from 'node:util'
import type { StatusView } from '../../packages/controller/src/api/schemas.ts'
import { isGivenUp } from '../../packages/controller/src/core/convergence/decide.ts'
import type { StoredEvent } from '../../packages/controller/src/core/deployment/events.ts'
import type { Target } from '../../packages/controller/src/core/deployment/state.ts'
import { replay } from '../../packages/controller/src/core/deployment/step.ts'
import { chooseTargets } from '../../packages/controller/src/core/targets/choose-targets.ts'
import type { Fleet } from './fleet.ts'
import { environment, type Member } from './fleet-parts.ts'
import { demand, shouldServe, wordsOf } from './invariants.ts'
import { purposeOf } from './simulated-engine.ts'

export const checkCalm = async (fleet: Fleet): Promise<void> => {
  for (const member of fleet.members) checkHost(member)
  await checkStore(fleet)
  const difference = await findDifference(fleet)
  demand(difference === undefined, String(difference))
  checkViews(fleet)
  const status = await fleet.ask((deployments) => deployments.status({ environment }))
  if (typeof status !== 'string') checkStatus(fleet, status)
}

/**
 * Every host runs the current release of each service that belongs on it, and nothing else of ours.
 * @returns what differs, in words; undefined: nothing
 */
export const findDifference = async ({ store, watch, members }: Fleet): Promise<string | undefined> => {
  const agents = await store.agents({ environment })
  const givenUp = (await store.convergences({ environment })).filter(isGivenUp)
  for (const { service } of await store.specs({ environment })) {
    if (!watch.current.has(service)) continue
    const current = await store.currentRelease(environment, service)
    const spec = (await store.spec(environment, service, current?.specRevision))?.spec
    const placed = spec === undefined ? [] : chooseTargets(agents, spec).map(({ id }) => id)
    for (const member of members) {
      const { agent, name } = member
      if (givenUp.some((row) => row.service === service && row.agent === agent.id)) continue
      if (member.hasClone || isLeft(watch, member, service)) continue
      const serving = shouldServe(member, service)
      const isHome = current !== undefined && placed.includes(agent.id)
      const isRight = isHome
        ? serving.length === spec?.replicas && serving.every(({ digest }) => digest === current.digest)
        : serving.length === 0
      const wanted = isHome ? `release ${current.number}` : 'nothing'
      if (!isRight) return `${name} is to serve ${wanted} of ${service}, but serves ${wordsOf(serving)}`
    }
  }
  return undefined
}

/** A deployment ended mixed and left the host what it brought: people decide on that, by the next success. */
const isLeft = ({ states, decidedBy }: Fleet['watch'], member: Member, service: string): boolean => {
  const serving = shouldServe(member, service)
  return [...states.values()].some(({ mode, outcome, parts, targets }) => {
    const part = parts.find((one) => one.service === service)
    if (mode !== 'deploy' || outcome !== 'mixed' || part === undefined) return false
    const target = targets.find((one) => one.service === service && one.agent === member.agent.id)
    const isUndecided = part.generation > (decidedBy.get(service) ?? 0)
    const runsIt = serving.some(({ owner }) => owner?.release === part.release)
    return isUndecided && target?.state === 'released' && runsIt
  })
}

const checkHost = ({ name, host, inherited }: Member): void => {
  for (const [key, count] of host.record.created)
    demand(count === 1, `${name}: command ${key} made its container ${count} times`)
  const services = new Set<string>()
  for (const { owner } of host.containers.values()) if (owner !== null) services.add(owner.service)
  for (const service of services) {
    const running = [...host.containers.values()].filter(
      (one) => one.owner?.service === service && one.state === 'running' && purposeOf(one) === 'serving'
    )
    const releases = new Set(running.map(({ owner }) => owner?.release))
    demand(releases.size <= 1, `${name} runs ${wordsOf(running)} at once`)
  }
  // What nobody remembers is taken away with the next release there.
  const helpers = [...host.containers.values()].filter(
    (one) => one.owner !== null && purposeOf(one) !== 'serving' && !inherited.has(one.id)
  )
  demand(helpers.length === 0, `${name} still has ${wordsOf(helpers)}`)
}

const checkStore = async ({ store, watch }: Fleet): Promise<void> => {
  demand(watch.open().length === 0, `${watch.open()[0]?.id} has not ended`)
  for (const { service } of await store.specs({ environment })) {
    const lock = await store.lock(environment, service)
    demand(lock === undefined, `${service} is still locked by ${lock?.deployment}`)
    const current = await store.currentRelease(environment, service)
    const expected = watch.current.get(service) ?? null
    demand(
      (current?.number ?? null) === expected,
      `the current release of ${service} is said to be ${current?.number}, but ${expected} succeeded last`
    )
  }
  for (const [id, row] of watch.rows) {
    if (row.mode === 'plan') continue
    const events = (await store.deploymentEvents(id)) as StoredEvent[]
    const again: unknown = JSON.parse(JSON.stringify(replay(events)))
    const stored: unknown = JSON.parse(JSON.stringify((await store.deployment(id))?.state))
    demand(isDeepStrictEqual(again, stored), `the events of ${id} do not give its state again`)
  }
}

/** The last word on each host is true of it. */
const checkViews = ({ members, watch }: Fleet): void => {
  for (const member of members) {
    if (member.hasClone) continue
    for (const [service, target] of lastWords(watch, member)) checkTarget(member, service, target)
  }
}

type LastWord = Pick<Target, 'state' | 'serving' | 'host' | 'former'> & { outcome: string; release: number }

/** Service -> what the last deployment that touched the host says of it. */
const lastWords = (watch: Fleet['watch'], { agent }: Member): Map<string, LastWord> => {
  const last = new Map<string, LastWord>()
  for (const { mode, outcome, targets, parts } of watch.states.values()) {
    // These changed nothing: what they say of a host is what the host said then.
    if (mode === 'plan' || mode === 'rehearse' || outcome === 'refused') continue
    for (const target of targets) {
      if (target.agent !== agent.id || target.state === 'skipped') continue
      const part = parts.find(({ service }) => service === target.service)
      const { service, state, serving, host, former } = target
      last.set(service, {
        state,
        serving,
        host,
        former,
        outcome: outcome ?? 'none',
        release: part?.release ?? 0
      })
    }
  }
  return last
}

const checkTarget = (member: Member, service: string, word: LastWord): void => {
  const { host, state, serving: is, former, outcome, release } = word
  if (state === 'unknown') return
  const serving = shouldServe(member, service)
  const said = `${outcome}: ${service} on ${host} is said to be ${state}, serving ${is}, but serves ${wordsOf(serving)}`
  switch (is) {
    case 'new':
      demand(
        serving.some(({ owner }) => owner?.release === release),
        said
      )
      return
    case 'old':
      demand(serving.length > 0, said)
      // restarted and taken back: the former containers are of the same release
      if (state === 'reverted' && former !== null)
        demand(
          serving.every(({ owner }) => owner?.release === former),
          said
        )
      return
    case 'none':
      demand(serving.length === 0, said)
      return
    case 'unknown':
      return
    default:
      is satisfies never
  }
}

const checkStatus = ({ members }: Fleet, views: readonly StatusView[]): void => {
  for (const { service, hosts } of views) {
    for (const { host, state, release } of hosts) {
      const member = members.find(({ name }) => name === host)
      if (member === undefined || member.hasClone || state === 'silent' || state === 'unknown') continue
      const serving = shouldServe(member, service)
      const said = `status says that ${host} has ${service} release ${release} ${state}, it serves ${wordsOf(serving)}`
      if (state === 'missing') demand(serving.length === 0, said)
      if (state === 'running')
        demand(serving.length > 0 && serving.every(({ owner }) => owner?.release === release), said)
    }
  }
}
