// What the page knows after some more events: hosts and deployments as the last event said. Events say how things
// are, so one that comes twice does no harm. Batches, since a busy fleet tells hundreds of things a second.
import type { AgentView, DeploymentView, StreamEvent, TargetView } from '@longshore/controller/api'

export type Followed = {
  readonly deployment: DeploymentView
  /** By the controller's clock. */
  readonly heardAtMs: number
  /** The last lines of release commands. */
  readonly log: readonly string[]
}
export type Live = {
  readonly agents: ReadonlyMap<string, AgentView>
  readonly deployments: ReadonlyMap<string, Followed>
}

export const nothingKnown: Live = { agents: new Map(), deployments: new Map() }

const maxLogLines = 50
/** Those that ended longer ago are on the controller. */
const maxEnded = 100

export const foldEvents = (live: Live, events: readonly StreamEvent[]): Live => {
  if (events.length === 0) return live
  const agents = new Map(live.agents)
  const drafts = new Map<string, Draft>()
  const deployments = new Map(live.deployments)
  const draftOf = (id: string): Draft | undefined => {
    const begun = drafts.get(id)
    if (begun !== undefined) return begun
    const followed = deployments.get(id)
    if (followed === undefined) return undefined
    const draft = beginDraft(followed)
    drafts.set(id, draft)
    return draft
  }
  for (const event of events) {
    const atMs = Date.parse(event.at)
    if (event.type === 'agent') agents.set(event.agent.id, event.agent)
    else if (event.type === 'deployment' || event.type === 'ended') {
      const { deployment } = event
      const log = (drafts.get(deployment.id) ?? deployments.get(deployment.id))?.log ?? []
      drafts.set(deployment.id, beginDraft({ deployment, heardAtMs: atMs, log }))
    } else {
      const draft = draftOf(event.id)
      if (draft !== undefined) change(draft, event, atMs)
    }
  }
  for (const [id, draft] of drafts) deployments.set(id, endDraft(draft))
  return { agents, deployments: withoutOld(deployments) }
}

/** Lists that were asked for: hosts that are not in it are gone. */
export const replaceLists = (
  live: Live,
  agents: readonly AgentView[],
  deployments: readonly DeploymentView[],
  atMs: number
): Live => {
  const listed = deployments.map((deployment): [string, Followed] => [
    deployment.id,
    { deployment, heardAtMs: atMs, log: live.deployments.get(deployment.id)?.log ?? [] }
  ])
  return {
    agents: new Map(agents.map((agent) => [agent.id, agent])),
    deployments: withoutOld(new Map([...live.deployments, ...listed]))
  }
}

/** Deployments that seem to go on and are not in a list of the latest: how they are has to be asked for. */
export const goingOnElsewhere = (live: Live, listed: readonly DeploymentView[]): string[] => {
  const ids = new Set<string>(listed.map(({ id }) => id))
  const goOn = [...live.deployments].filter(([, { deployment }]) => deployment.endedAtMs === null)
  return goOn.flatMap(([id]) => (ids.has(id) ? [] : [id]))
}

/** Copied once for all events of a batch: a deployment may have thousands of targets. */
type Draft = {
  deployment: DeploymentView
  heardAtMs: number
  log: readonly string[]
  targets: TargetView[]
  places: Map<string, number>
}

const placeOf = (service: string, host: string): string => `${service}/${host}`

const beginDraft = ({ deployment, heardAtMs, log }: Followed): Draft => ({
  deployment,
  heardAtMs,
  log,
  targets: [...deployment.targets],
  places: new Map(deployment.targets.map(({ service, host }, index) => [placeOf(service, host), index]))
})

const endDraft = ({ deployment, heardAtMs, log, targets }: Draft): Followed => ({
  deployment: { ...deployment, targets },
  heardAtMs,
  log
})

type SmallEvent = Exclude<StreamEvent, { type: 'agent' | 'deployment' | 'ended' }>

const change = (draft: Draft, event: SmallEvent, atMs: number): void => {
  draft.heardAtMs = atMs
  switch (event.type) {
    case 'phase': {
      // of another pause; a snapshot follows with this one's
      const { pause: _pause, batch: _batch, ...rest } = draft.deployment
      draft.deployment = {
        ...rest,
        phase: event.phase,
        ...(event.batch === null ? {} : { batch: event.batch })
      }
      return
    }
    case 'target':
      putTarget(draft, event.target)
      return
    case 'progress': {
      const { service = draft.deployment.service, host, progress } = event
      const target = draft.targets[draft.places.get(placeOf(service, host)) ?? -1]
      if (target !== undefined) putTarget(draft, { ...target, progress })
      return
    }
    case 'log':
      draft.log = [...draft.log, ...event.lines].slice(-maxLogLines)
      return
    case 'warning':
      draft.deployment = { ...draft.deployment, warnings: [...draft.deployment.warnings, event.text] }
      return
    default:
      // a kind that this page does not know yet
      event satisfies never
  }
}

const putTarget = ({ targets, places }: Draft, target: TargetView): void => {
  const place = placeOf(target.service, target.host)
  const index = places.get(place)
  if (index !== undefined) targets[index] = target
  else places.set(place, targets.push(target) - 1)
}

const withoutOld = (deployments: Map<string, Followed>): Map<string, Followed> => {
  const ended = [...deployments].filter(([, { deployment }]) => deployment.endedAtMs !== null)
  if (ended.length <= maxEnded) return deployments
  ended.sort(([, a], [, b]) => (a.deployment.endedAtMs ?? 0) - (b.deployment.endedAtMs ?? 0))
  for (const [id] of ended.slice(0, ended.length - maxEnded)) deployments.delete(id)
  return deployments
}
