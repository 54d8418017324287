// What the page knows after events: that of the last one about each thing.
import t from 'tap'
import type { StreamEvent } from '../../../packages/controller/src/api/schemas.ts'
import { changesStatus } from '../../../packages/dashboard/src/core/changes-status.ts'
import {
  clockAhead,
  judgeConnection,
  notConnected,
  stepConnection
} from '../../../packages/dashboard/src/core/connection.ts'
import {
  foldEvents,
  goingOnElsewhere,
  nothingKnown,
  replaceLists
} from '../../../packages/dashboard/src/core/fold-events.ts'

const at = '2026-01-01T00:00:00.000Z'
const id = 'dep_1'
const targetOn = (host: string, state: string) => ({ service: 'api', host, state, batch: 1 })
const deploymentOf = (name: string, change: object = {}) => ({
  id: name,
  service: 'api',
  phase: 'rolling',
  batch: 1,
  endedAtMs: null,
  targets: [targetOn('web-1', 'releasing')],
  warnings: [],
  ...change
})
const event = (type: string, rest: object): StreamEvent => ({ at, type, ...rest }) as unknown as StreamEvent
const begun = event('deployment', { deployment: deploymentOf(id) })

t.test('a deployment is as its events say, whatever is repeated', async (t) => {
  const events = [
    begun,
    event('progress', { id, host: 'web-1', progress: { step: 'fetch', position: 1, total: 3 } }),
    event('target', { id, target: targetOn('web-2', 'ready') }),
    event('phase', { id, phase: 'rolling', batch: 2 }),
    event('log', { id, lines: ['one', 'two'] }),
    event('warning', { id, text: 'look at it' }),
    event('log', { id: 'dep_unknown', lines: ['of nothing'] })
  ]
  const once = foldEvents(nothingKnown, events)
  const one = once.deployments.get(id)
  t.match(one, {
    heardAtMs: Date.parse(at),
    log: ['one', 'two'],
    deployment: { batch: 2, warnings: ['look at it'] }
  })
  t.match(one?.deployment.targets, [
    { host: 'web-1', progress: { step: 'fetch' } },
    { host: 'web-2', state: 'ready' }
  ])
  const oneByOne = events.reduce((live, each) => foldEvents(live, [each]), nothingKnown)
  t.same([...oneByOne.deployments], [...once.deployments], 'batches make no difference')
  t.same(
    foldEvents(once, events).deployments.get(id)?.deployment.targets,
    [targetOn('web-1', 'releasing'), targetOn('web-2', 'ready')].map((target, index) =>
      index === 0 ? { ...target, progress: { step: 'fetch', position: 1, total: 3 } } : target
    )
  )
  t.equal(nothingKnown.deployments.size, 0, 'what was known before is not touched')
})

t.test('what runs where is asked again after what may change it', async (t) => {
  const agentOf = (change: object) => event('agent', { agent: { id: 'a', state: 'connected', ...change } })
  const inventory = { isEngineReachable: true, containers: [{ id: 'c', state: 'running' }], load: 1 }
  const { agents } = foldEvents(nothingKnown, [agentOf({ inventory })])
  const changes = (one: StreamEvent): boolean => changesStatus(agents, one)
  t.notOk(changes(agentOf({ inventory: { ...inventory, load: 2 } })))
  t.ok(changes(agentOf({ inventory: { ...inventory, containers: [] } })))
  t.ok(changes(agentOf({ inventory, state: 'silent' })))
  t.ok(changes(event('agent', { agent: { id: 'new', state: 'connected' } })))
  t.ok(changes(event('target', { id })))
  t.notOk(changes(event('progress', { id })))
})

t.test('a list says which hosts there are, and the oldest ended deployments are let go', async (t) => {
  const agents = ['a', 'b'].map((name) => event('agent', { agent: { id: name } }))
  const live = foldEvents(nothingKnown, [...agents, begun])
  const listed = replaceLists(live, [{ id: 'b' }] as unknown as Parameters<typeof replaceLists>[1], [], 5)
  t.same([...listed.agents.keys()], ['b'])
  t.ok(listed.deployments.has(id), 'one that is under way is not in the list of the latest')
  const many = Array.from({ length: 150 }, (_, index) =>
    event('ended', { deployment: deploymentOf(`dep_e${index}`, { phase: 'ended', endedAtMs: index }) })
  )
  const after = foldEvents(listed, many)
  t.equal(after.deployments.size, 101)
  t.ok(after.deployments.has(id))
  t.notOk(after.deployments.has('dep_e49'))
  t.ok(after.deployments.has('dep_e50'))
})

t.test('a deployment that seems to go on and is in no list is asked for', async (t) => {
  const ended = event('ended', { deployment: deploymentOf('dep_2', { endedAtMs: 5 }) })
  const live = foldEvents(nothingKnown, [begun, ended])
  t.same(goingOnElsewhere(live, []), [id])
  t.same(goingOnElsewhere(live, [deploymentOf(id) as never]), [])
})

t.test(
  'the page vouches for nothing once the stream broke, the controller is mute, or nobody asked it',
  async (t) => {
    const atBoth = (ms: number) => ({ dayMs: ms, steadyMs: ms })
    const steps = (...kinds: Parameters<typeof stepConnection>[1]['kind'][]) =>
      kinds.reduce((connection, kind) => stepConnection(connection, { kind, at: atBoth(1000) }), notConnected)
    const judge = (connection: ReturnType<typeof steps>, now = atBoth(2000)) =>
      judgeConnection(connection, now).state
    t.equal(judge(notConnected), 'connecting')
    t.equal(judge(steps('stream-opened')), 'connecting', 'what was missed is not known yet')
    const live = steps('stream-opened', 'caught-up')
    t.equal(judge(live), 'live')
    t.equal(judge(steps('stream-opened', 'caught-up', 'stream-broke')), 'lost')
    t.equal(
      judge(steps('stream-opened', 'caught-up', 'stream-broke', 'answered')),
      'lost',
      'events are missed'
    )
    t.equal(judge(steps('stream-opened', 'caught-up', 'stream-broke', 'stream-opened')), 'connecting')
    t.equal(judge(steps('stream-opened', 'caught-up', 'failed')), 'lost')
    t.equal(judge(steps('stream-opened', 'caught-up', 'failed', 'answered')), 'live')
    t.same(judgeConnection(live, atBoth(41_001)), { state: 'lost', silentMs: 40_001 })
    t.equal(judge(live, { dayMs: 1000 - 3_600_000, steadyMs: 41_001 }), 'lost', 'the clock was set back')
    t.equal(judge(live, { dayMs: 41_001, steadyMs: 2000 }), 'lost', 'the machine slept')
  }
)

t.test(
  "the controller's clock is known as exactly as answers allow, and again after it was set",
  async (t) => {
    const answer = (askedAtMs: number, answeredAtMs: number, controllerMs: number) => ({
      askedAtMs,
      answeredAtMs,
      controllerMs
    })
    t.equal(clockAhead(null, answer(1000, 1100, 5000)), 3950)
    t.equal(clockAhead(3950, answer(2000, 12_000, 10_000)), 3950, 'a slow answer fits too')
    t.equal(clockAhead(3950, answer(3_600_000, 3_600_100, 7000)), 7000 - 3_600_050)
  }
)
