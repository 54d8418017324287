// All that the views show, and what keeps it true: the stream of events, lists asked for when something happened,
// and a heartbeat. Views listen and ask; nothing here draws.
import type {
  AgentView,
  DeploymentView,
  EnvironmentView,
  SessionView,
  StatusView,
  StreamEvent
} from '@longshore/controller/api'
import { AskError, ask } from './ask-controller.ts'
import { changesStatus } from './core/changes-status.ts'
import {
  type Connection,
  clockAhead,
  heartbeatMs,
  type Moment,
  notConnected,
  stepConnection
} from './core/connection.ts'
import { foldEvents, goingOnElsewhere, type Live, nothingKnown, replaceLists } from './core/fold-events.ts'
import { followEvents } from './follow-events.ts'

export type Known = {
  readonly live: Live
  readonly statuses: readonly StatusView[]
  readonly environments: readonly string[]
  /** The lists were read once: what is not there does not exist. */
  readonly isLoaded: boolean
  /** Why the lists could not be read; null: they could. */
  readonly refusal: string | null
  readonly connection: Connection
  /** The controller's clock less this machine's. */
  readonly clockAheadMs: number
}
export type PageStore = {
  readonly known: Known
  listen(listener: () => void): () => void
  /** Reads the lists again, after something was changed. */
  reload(): Promise<void>
  stop(): void
}

/** Events are shown together: a busy fleet would draw hundreds of times a second. */
const gatherMs = 100
const statusAfterMs = 300
/** Of the time, asking for it takes one part at most: a large fleet takes the controller longer. */
const statusShare = 5
/** Beside events: hosts that were removed tell nothing. */
const reloadMs = 60_000
/** After a new connection the lists are needed: nothing is vouched for before. */
const reloadAgainMs = 3000

export const momentNow = (): Moment => ({ dayMs: Date.now(), steadyMs: performance.now() })

/**
 * @param clockAheadMs as it was when the session was read
 * @param ended the session has ended: whoever looks has to sign in
 */
export const createPageStore = (session: SessionView, clockAheadMs: number, ended: () => void): PageStore => {
  const nowMs = (): number => Date.now() + known.clockAheadMs
  let known: Known = {
    live: nothingKnown,
    statuses: [],
    environments: [],
    isLoaded: false,
    refusal: null,
    connection: notConnected,
    clockAheadMs
  }
  const listeners = new Set<() => void>()
  const set = (change: Partial<Known>): void => {
    known = { ...known, ...change }
    for (const listener of listeners) listener()
  }
  const tell = (kind: Parameters<typeof stepConnection>[1]['kind']): void =>
    set({ connection: stepConnection(known.connection, { kind, at: momentNow() }) })
  const failed = (error: unknown): void => {
    if (error instanceof AskError && error.status === 401) ended()
    else if (error instanceof AskError && error.status === 0) tell('failed')
    set({ refusal: error instanceof Error ? error.message : String(error) })
  }

  const gathered: StreamEvent[] = []
  let gathering: ReturnType<typeof setTimeout> | undefined
  const take = (): void => {
    gathering = undefined
    const events = gathered.splice(0)
    const before = known.live.agents
    set({ live: foldEvents(known.live, events) })
    if (events.some((event) => changesStatus(before, event))) askStatusSoon()
    const phased = new Set(events.flatMap((event) => (event.type === 'phase' ? event.id : [])))
    for (const id of phased) void askDeployment(id)
  }

  let statusTimer: ReturnType<typeof setTimeout> | undefined
  let isAskingStatus = false
  let statusTookMs = 0
  const askStatusSoon = (): void => {
    statusTimer ??= setTimeout(
      () => {
        statusTimer = undefined
        if (isAskingStatus) askStatusSoon()
        else void askStatus()
      },
      Math.max(statusAfterMs, statusShare * statusTookMs)
    )
  }
  const askStatus = async (): Promise<void> => {
    isAskingStatus = true
    const beganMs = performance.now()
    await ask<StatusView[]>('GET', 'v1/status')
      .then((statuses) => set({ statuses, refusal: null }), failed)
      .finally(() => {
        isAskingStatus = false
        statusTookMs = performance.now() - beganMs
      })
  }

  /** While an answer is on its way, events that are newer than it may come: they are folded in once more. */
  const underWay = new Set<StreamEvent[]>()
  const askMeanwhile = async <T>(work: () => Promise<T>): Promise<{ answer: T; later: StreamEvent[] }> => {
    const later: StreamEvent[] = []
    underWay.add(later)
    try {
      return { answer: await work(), later }
    } finally {
      underWay.delete(later)
    }
  }
  const askLists = () =>
    Promise.all([
      ask<AgentView[]>('GET', 'v1/agents'),
      ask<DeploymentView[]>('GET', 'v1/deployments?limit=50'),
      ask<StatusView[]>('GET', 'v1/status'),
      ask<EnvironmentView[]>('GET', 'v1/environments')
    ])
  let openings = 0
  let reloadTimer: ReturnType<typeof setTimeout> | undefined
  const reload = async (): Promise<void> => {
    clearTimeout(reloadTimer)
    const opening = openings
    try {
      const { answer, later } = await askMeanwhile(askLists)
      const [agents, deployments, statuses, environments] = answer
      const live = replaceLists(known.live, agents, deployments, nowMs())
      const names = environments.map(({ name }) => name)
      set({ live: foldEvents(live, later), statuses, environments: names, isLoaded: true, refusal: null })
      if (opening === openings && known.connection.isStreamOpen) tell('caught-up')
      for (const id of goingOnElsewhere(known.live, deployments)) void askDeployment(id)
    } catch (error) {
      failed(error)
      clearTimeout(reloadTimer)
      if (!known.connection.isCaughtUp) reloadTimer = setTimeout(() => void reload(), reloadAgainMs)
    }
  }
  /** A new phase brings what no event tells: digests, batches. */
  const askDeployment = async (id: string): Promise<void> => {
    try {
      const path = `v1/deployments/${encodeURIComponent(id)}`
      const { answer, later } = await askMeanwhile(() => ask<DeploymentView>('GET', path))
      const whole: StreamEvent = {
        type: 'deployment',
        at: new Date(nowMs()).toISOString(),
        deployment: answer
      }
      set({ live: foldEvents(known.live, [whole, ...later]) })
    } catch (error) {
      failed(error)
    }
  }

  const beat = async (): Promise<void> => {
    const askedAtMs = Date.now()
    await ask<SessionView>('GET', 'v1/session').then(({ version, nowMs: controllerMs }) => {
      // another version serves another page
      if (version !== session.version) location.reload()
      const answered = { askedAtMs, answeredAtMs: Date.now(), controllerMs }
      set({ clockAheadMs: clockAhead(known.clockAheadMs, answered) })
      tell('answered')
    }, failed)
  }
  const follower = followEvents({
    event: (event) => {
      gathered.push(event)
      for (const later of underWay) later.push(event)
      gathering ??= setTimeout(take, gatherMs)
    },
    opened: () => {
      openings += 1
      tell('stream-opened')
      void reload()
    },
    broke: () => {
      tell('stream-broke')
      // the browser does not say whether the session has ended
      void beat()
    }
  })
  const heartbeat = setInterval(() => void beat(), heartbeatMs)
  const reloading = setInterval(() => void reload(), reloadMs)
  return {
    get known() {
      return known
    },
    listen: (listener) => {
      listeners.add(listener)
      return () => {
        listeners.delete(listener)
      }
    },
    reload,
    stop: () => {
      follower.stop()
      clearInterval(heartbeat)
      clearInterval(reloading)
      clearTimeout(gathering)
      clearTimeout(reloadTimer)
      clearTimeout(statusTimer)
    }
  }
}
