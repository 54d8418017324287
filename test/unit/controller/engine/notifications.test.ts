// Webhooks through the engine and a real store: owed with the change itself, sent after it, again until they are
// taken; a controller that dies in between; lost hosts, told of once. Receivers answer as they are told.
import { type AgentId, limits, type WebhookId } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import {
  type CreateWebhook,
  createWebhook,
  type Notice
} from '../../../../packages/controller/src/api/schemas.ts'
import { maxTries } from '../../../../packages/controller/src/core/notifications/retry.ts'
import { createEventStream } from '../../../../packages/controller/src/engine/event-stream.ts'
import {
  createNotifications,
  type Notifications
} from '../../../../packages/controller/src/engine/notifications.ts'
import {
  newNotificationId,
  oweNotices,
  watchOwed
} from '../../../../packages/controller/src/engine/owe-notices.ts'
import { createPresences } from '../../../../packages/controller/src/engine/presence.ts'
import { createHostWatch, type HostWatch } from '../../../../packages/controller/src/engine/watch-hosts.ts'
import { createWebhooks, type Webhooks } from '../../../../packages/controller/src/engine/webhooks.ts'
import { createWriter, type Writer } from '../../../../packages/controller/src/engine/writer.ts'
import {
  type Delivery,
  type Log,
  type Sealer,
  type Store,
  StoreFull
} from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, failed, planned, released, staged } from '../core/deployment-scenes.ts'
import {
  type Behaviour,
  EngineScene,
  furnish,
  HandClock,
  Hosts,
  jenkins,
  requestFor
} from './engine-scene.ts'

const obedient: Behaviour = (_host, { body }) => {
  switch (body.kind) {
    case 'resolve': {
      const result = { kind: 'resolve', digest: digestOf('7') } as const
      return { status: 'succeeded', result, serving: 'old', release: null }
    }
    case 'stage':
      return staged(false, 'a', null)
    case 'release':
      return released
    case 'settle':
      return { status: 'succeeded', result: { kind: 'settle', warnings: [] }, serving: 'new', release: 7 }
    default:
      throw new Error(`${body.kind} is not expected here`)
  }
}

type Sent = { to: string; id: string; notice: Notice }
/** What a receiver says; undefined: nothing, until the test ends. */
type Answers = (to: string, sent: Sent) => Delivery | undefined
const taken: Delivery = { status: 200, detail: '200' }
const busy: Delivery = { status: 503, detail: '503 busy' }

/** Readable on purpose: the tests look for secrets where they must not be. */
const sealer: Sealer = {
  seal: async (secret) => Buffer.from(secret).toString('base64'),
  open: async (sealed) => Buffer.from(sealed, 'base64').toString()
}
const random = () => {
  let count = 0
  return {
    bytes: (size: number) => {
      count += 1
      const bytes = new Uint8Array(size)
      new DataView(bytes.buffer).setUint32(0, 0xff_00_00_00 + count)
      return bytes
    }
  }
}

class Scene {
  readonly store: Store
  readonly clock: HandClock
  readonly steadyClock: HandClock
  readonly writer: Writer
  readonly notifications: Notifications
  readonly webhooks: Webhooks
  readonly hostWatch: HostWatch
  readonly connected = new Set<AgentId>()
  readonly presences: ReturnType<typeof createPresences>
  readonly sent: Sent[] = []
  readonly said: string[] = []
  readonly disk = { isFull: false }
  isOwner = true
  answers: Answers = () => taken
  readonly random: ReturnType<typeof random>

  constructor(
    opened: Store,
    clocks: [HandClock, HandClock] = [new HandClock(), new HandClock()],
    bytes = random()
  ) {
    ;[this.clock, this.steadyClock] = clocks
    this.random = bytes
    const real: Store = {
      ...opened,
      transaction: (work) => {
        if (this.disk.isFull) throw new StoreFull('the disk is full')
        return opened.transaction(work)
      }
    }
    const { store, onOwed } = watchOwed(real)
    this.store = store
    this.writer = createWriter(this)
    const say = (fields: object, text: string) => this.said.push(`${text} ${JSON.stringify(fields)}`)
    const log: Log = { debug: () => {}, info: () => {}, warn: say, error: say }
    const ports = {
      store,
      writer: this.writer,
      clock: this.clock,
      steadyClock: this.steadyClock,
      lease: { isHeld: async () => this.isOwner },
      log,
      sealer
    }
    this.notifications = createNotifications({
      ...ports,
      sender: { send: ({ url }, { id, body }, signal) => this.#send(url, id, body, signal) }
    })
    onOwed(this.notifications.wake)
    const { notifications } = this
    this.webhooks = createWebhooks({ ...ports, random: bytes, notifications, allowPlaintext: false })
    const events = createEventStream()
    this.presences = createPresences({ store, clock: this.clock, publisher: events })
    const link = { isConnected: (agent: AgentId) => this.connected.has(agent) }
    const settings = { lostAfterMs: 60_000 }
    this.hostWatch = createHostWatch({ ...ports, random: bytes, link, events, settings })
  }

  async #send(to: string, id: string, body: string, signal: AbortSignal): Promise<Delivery> {
    const sent = { to, id, notice: JSON.parse(body) as Notice }
    this.sent.push(sent)
    const answer = this.answers(to, sent)
    if (answer !== undefined) return answer
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve({ status: null, detail: 'broken off' }))
    })
  }

  async make(name: string, change: Partial<CreateWebhook> = {}): Promise<WebhookId> {
    const wish = createWebhook.parse({
      name,
      url: `https://${name}.example.com/hook/for-us-alone`,
      ...change
    })
    return (await this.webhooks.create(jenkins, wish)).id
  }
  /** Owes every webhook one notice about a host of that name. */
  async owe(...hosts: string[]): Promise<void> {
    for (const host of hosts) {
      const data = {
        environment: 'staging',
        hosts: [{ host, agent: agentOf('a'), lastSeenAt: null }],
        hostsLeftOut: 0
      }
      const notice = { type: 'host.lost', timestamp: '2026-01-01T00:00:00Z', data } as Notice
      await this.writer.step((tx) => oweNotices(tx, this.random, [notice], this.clock.nowMs()))
    }
    await this.settle()
  }
  /** What was sent to the receiver, shortly. */
  typesTo(name: string): string[] {
    return this.sent.filter(({ to }) => to.startsWith(`https://${name}.`)).map(({ notice }) => notice.type)
  }
  async settle(): Promise<void> {
    for (let round = 0; round < 20; round += 1) {
      await this.writer.idle()
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
  }
  async pass(ms: number): Promise<void> {
    this.clock.move(ms)
    this.steadyClock.move(ms)
    await this.settle()
  }
  async connect(host: string): Promise<void> {
    this.connected.add(agentOf(host))
    this.presences.connected(agentOf(host))
    await this.presences.announce(agentOf(host))
    await this.settle()
  }
  async disconnect(...hosts: string[]): Promise<void> {
    for (const host of hosts) {
      this.connected.delete(agentOf(host))
      this.presences.disconnected(agentOf(host))
      await this.presences.announce(agentOf(host))
    }
    await this.settle()
  }
  async stop(): Promise<void> {
    await this.hostWatch.stop()
    await this.notifications.stop()
    await this.writer.idle()
  }
  /** The next life of the controller over the same store. */
  async restart(): Promise<Scene> {
    await this.stop()
    const next = new Scene(this.store, [this.clock, new HandClock()], this.random)
    await next.hostWatch.start()
    next.notifications.wake()
    await next.settle()
    return next
  }
}

const openScene = async (t: Test, hosts: string[] = []): Promise<Scene> => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, hosts)
  const scene = new Scene(store)
  t.teardown(async () => {
    await scene.stop()
    await store.close()
    if (scene.steadyClock.waiting > 0) throw new Error('a timer is left')
  })
  return scene
}

t.test('a deployment is owed with its own change and told after it, in order', async (t) => {
  const scene = await openScene(t, ['a'])
  await scene.make('ops')
  await scene.make('elsewhere', { environments: [], events: ['deployment.mixed'] })
  const fleet = new EngineScene(scene.store, new Hosts(['a'], obedient), scene.clock)
  await fleet.deployments.start()
  await fleet.connect('a')
  const { id } = await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await scene.settle()
  t.same(scene.typesTo('ops'), ['deployment.started', 'deployment.succeeded'])
  t.same(scene.typesTo('elsewhere'), [])
  t.match(scene.sent[1]?.notice, {
    data: {
      deployment: id,
      outcome: 'succeeded',
      services: [{ service: 'api', release: 1, tag: 'v1' }],
      hosts: []
    }
  })
  t.not(scene.sent[0]?.id, scene.sent[1]?.id)
  t.same(await scene.store.notifications({}), [], 'what was taken is gone')
  t.match(await scene.webhooks.list(), [{}, { lastTry: { isDelivered: true }, waiting: 0, givenUp: 0 }])
  await fleet.deployments.stop()
})

t.test('a pause and the end after it name the host that failed; a plan is not told', async (t) => {
  const scene = await openScene(t, ['a', 'b'])
  await scene.make('ops')
  const row = await scene.store.spec('staging', 'api')
  if (row === undefined) throw new Error('there is no spec')
  const update = { ...row.spec.update, failureAction: 'pause' as const }
  await scene.store.transaction((tx) =>
    tx.insertSpec({ ...row, revision: 2, spec: { ...row.spec, releaseCommand: null, update } })
  )
  const behaviour: Behaviour = (host, command) => {
    if (command.body.kind === 'plan') return planned()
    return host === 'b' && command.body.kind === 'release' ? failed('none') : obedient(host, command)
  }
  const fleet = new EngineScene(scene.store, new Hosts(['a', 'b'], behaviour), scene.clock)
  await fleet.deployments.start()
  for (const host of ['a', 'b']) await fleet.connect(host)
  await fleet.deployments.request(jenkins, requestFor({ mode: 'plan' }))
  await fleet.settle()
  const { id } = await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await fleet.deployments.resume(jenkins, id)
  await fleet.settle()
  await scene.settle()
  t.same(scene.typesTo('ops'), ['deployment.started', 'deployment.paused', 'deployment.mixed'])
  const hosts = [
    { host: 'b', service: 'api', state: 'failed', serving: 'none', reason: /exited with code 1/ }
  ]
  t.match(scene.sent[1]?.notice, { data: { deployment: id, outcome: null, reason: /^host b: /, hosts } })
  t.match(scene.sent[2]?.notice, { data: { outcome: 'mixed', reason: /host b: /, hosts } })
  await fleet.deployments.stop()
})

t.test('what a crashed controller owed is sent by the next one', async (t) => {
  const scene = await openScene(t, ['a'])
  await scene.make('ops')
  await scene.notifications.stop()
  const fleet = new EngineScene(scene.store, new Hosts(['a'], obedient), scene.clock)
  await fleet.deployments.start()
  await fleet.connect('a')
  await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  await fleet.deployments.stop()
  t.same(scene.sent, [])
  const next = await scene.restart()
  t.same(next.typesTo('ops'), ['deployment.started', 'deployment.succeeded'])
  await next.stop()
})

t.test('a change that is not committed owes nothing', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  const failing = scene.writer.step(async (tx) => {
    const notice = { type: 'host.lost', timestamp: '', data: { environment: 'staging' } } as unknown as Notice
    await oweNotices(tx, scene.random, [notice], 0)
    throw new Error('the disk broke')
  })
  await t.rejects(failing, /the disk broke/)
  await scene.settle()
  t.same(await scene.store.notifications({}), [])
  t.same(scene.sent, [])
})

t.test('a receiver that refuses is asked again with the same id, later and later', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => busy
  await scene.owe('a')
  t.match(await scene.webhooks.list(), [{ waiting: 1, lastTry: { isDelivered: false, detail: '503 busy' } }])
  await scene.pass(4_999)
  t.equal(scene.sent.length, 1)
  await scene.pass(1)
  t.equal(scene.sent.length, 2)
  scene.answers = () => taken
  await scene.pass(14_999)
  t.equal(scene.sent.length, 2)
  await scene.pass(1)
  t.equal(scene.sent.length, 3)
  t.equal(new Set(scene.sent.map(({ id }) => id)).size, 1)
  t.same(new Set(scene.sent.map(({ notice }) => JSON.stringify(notice))).size, 1, 'the very same bytes')
  t.same(await scene.store.notifications({}), [])
  t.equal(scene.said.length, 1, 'the log says once that it is tried again')
})

t.test('the waits go on over a restart', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => busy
  await scene.owe('a')
  const next = await scene.restart()
  t.equal(next.sent.length, 0)
  await next.pass(5_000)
  t.match(next.sent, [{ id: scene.sent[0]?.id }])
  await next.stop()
})

t.test('one receiver that does not answer delays no other, and no deployment', async (t) => {
  const scene = await openScene(t, ['a'])
  await scene.make('slow')
  await scene.make('quick')
  scene.answers = (to) => (to.startsWith('https://slow.') ? undefined : taken)
  const fleet = new EngineScene(scene.store, new Hosts(['a'], obedient), scene.clock)
  await fleet.deployments.start()
  await fleet.connect('a')
  const { id } = await fleet.deployments.request(jenkins, requestFor())
  await fleet.settle()
  t.equal((await fleet.deployments.view(id)).outcome, 'succeeded')
  await scene.settle()
  t.same(scene.typesTo('quick'), ['deployment.started', 'deployment.succeeded'])
  t.same(scene.typesTo('slow'), ['deployment.started'])
  await fleet.deployments.stop()
  await scene.notifications.stop()
  const left = await scene.store.notifications({})
  t.match(left, [{ tries: 0 }, { tries: 0 }], 'what was broken off counts as no try')
})

t.test('a webhook whose receiver is gone is disabled, until a test is taken', async (t) => {
  const scene = await openScene(t)
  const id = await scene.make('ops')
  scene.answers = () => busy
  await scene.owe('a')
  scene.answers = () => ({ status: 410, detail: '410' })
  await scene.owe('b')
  t.match(await scene.webhooks.list(), [
    { state: 'disabled', reason: /410/, waiting: 0, givenUp: 2, lastTry: { isDelivered: false } }
  ])
  await scene.owe('c')
  t.equal(scene.sent.length, 2, 'nothing more is owed')
  t.match(await scene.store.audit({ limit: 1 }), [{ action: 'webhook.disable', subject: id, outcome: 'ok' }])
  await t.rejects(scene.webhooks.test(jenkins, id), { code: 'webhook-failed', message: /410/ })
  scene.answers = () => taken
  t.match(await scene.webhooks.test(jenkins, id), { name: 'ops', detail: '200' })
  t.match(scene.sent.at(-1)?.notice, { type: 'webhook.test', data: { name: 'ops', requestedBy: 'jenkins' } })
  await scene.owe('d')
  t.match(await scene.webhooks.list(), [{ state: 'active', reason: null, lastTry: { isDelivered: true } }])
})

t.test('a notification is given up after three days, shown for a week, and then forgotten', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => busy
  await scene.owe('a')
  for (let tries = 1; tries < maxTries; tries += 1) await scene.pass(3_600_000)
  t.equal(scene.sent.length, maxTries)
  t.match(await scene.webhooks.list(), [{ waiting: 0, givenUp: 1 }])
  t.match(scene.said.at(-1), /a notification is given up .*503 busy/)
  await scene.pass(7 * 86_400_000 + 1)
  t.equal(scene.sent.length, maxTries)
  scene.answers = () => taken
  await scene.owe('b')
  t.match(await scene.webhooks.list(), [{ waiting: 0, givenUp: 0 }])
})

t.test('what was taken is not sent again because the disk was full', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => {
    scene.disk.isFull = true
    return taken
  }
  await scene.owe('a')
  await scene.pass(5_000)
  t.equal(scene.sent.length, 1)
  t.match(scene.said[0], /notifications wait: the store failed/)
  scene.disk.isFull = false
  await scene.pass(5_000)
  t.equal(scene.sent.length, 1)
  t.same(await scene.store.notifications({}), [])
})

t.test('a clock that jumps neither gives up nor waits for ever', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => busy
  await scene.owe('a')
  scene.clock.move(400 * 86_400_000)
  scene.steadyClock.move(5_000)
  await scene.settle()
  t.match(await scene.store.notifications({}), [{ state: 'waiting', tries: 2 }])
  scene.clock.move(-800 * 86_400_000)
  scene.steadyClock.move(15_000)
  await scene.settle()
  t.match(await scene.store.notifications({}), [{ state: 'waiting', tries: 3 }])
})

t.test('a receiver that stays away does not fill the disk', async (t) => {
  const scene = await openScene(t)
  await scene.make('ops')
  scene.answers = () => busy
  const notice = { type: 'host.lost', timestamp: '', data: { environment: 'staging' } } as unknown as Notice
  await scene.writer.step(async (tx) => {
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs())
    const [first] = await tx.notifications({})
    if (first === undefined) throw new Error('nothing is owed')
    for (let number = 1; number < 1_000; number += 1) {
      await tx.putNotification({
        ...first,
        id: newNotificationId(scene.random),
        createdAtMs: first.createdAtMs + 1
      })
    }
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs() + 2)
    t.match(await tx.notifications({ state: 'given-up' }), [{ id: first.id, lastError: /newer ones/ }])
    for (let number = 0; number < 1_000; number += 1) {
      const id = newNotificationId(scene.random)
      await tx.putNotification({ ...first, id, state: 'given-up', nextAtMs: scene.clock.nowMs() + 3 })
    }
    await oweNotices(tx, scene.random, [notice], scene.clock.nowMs() + 4)
    t.equal(await tx.notification(first.id), undefined, 'given up first, forgotten first')
  })
  await scene.settle()
  t.match(await scene.webhooks.list(), [{ waiting: 1_000, givenUp: 1_000 }])
  await scene.notifications.stop()
})

t.test('a signing secret is shown once and stands nowhere else', async (t) => {
  const scene = await openScene(t)
  const wish = { name: 'ops', url: 'https://ops.example.com/hook/for-us-alone' }
  const { secret, id } = await scene.webhooks.create(jenkins, createWebhook.parse(wish))
  t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/)
  const told = JSON.stringify([await scene.webhooks.list(), await scene.store.audit({ limit: 10 })])
  t.notMatch(told, /for-us-alone|whsec_/)
  const row = await scene.store.webhook(id)
  t.match(JSON.parse(await sealer.open(row?.sealed ?? '')), { url: wish.url, secret })
  t.notMatch(JSON.stringify({ ...row, sealed: '' }), /for-us-alone|whsec_/)
  const chat = createWebhook.parse({ ...wish, name: 'chat', format: 'slack' })
  t.equal((await scene.webhooks.create(jenkins, chat)).secret, null)
})

t.test('a webhook that cannot work is refused', async (t) => {
  const scene = await openScene(t)
  const make = (change: object) => scene.make('ops', change)
  await t.rejects(make({ url: 'http://example.com/' }), { code: 'invalid-request', message: /https/ })
  await t.rejects(make({ environments: ['nowhere'] }), { code: 'unknown-environment' })
  const id = await make({})
  await t.rejects(make({}), { code: 'already-exists' })
  const known = { code: 'unknown-webhook', extra: { known: ['ops'] } }
  await t.rejects(
    scene.webhooks.find('other', () => true),
    known
  )
  await t.rejects(
    scene.webhooks.find('ops', () => false),
    { code: 'unknown-webhook', extra: { known: [] } }
  )
  scene.answers = () => busy
  await scene.owe('a')
  await scene.webhooks.remove(jenkins, id)
  t.same(await scene.webhooks.list(), [])
  t.same(await scene.store.notifications({}), [])
  await t.rejects(scene.webhooks.remove(jenkins, id), { code: 'unknown-webhook' })
  await scene.pass(5_000)
  t.equal(scene.sent.length, 1)
})

t.test('a host that cannot be repaired is told of once, after its last try', async (t) => {
  const scene = await openScene(t, ['a'])
  await scene.make('ops')
  const lastTry = 'dep_00000000000000000009'
  await scene.store.transaction((tx) =>
    tx.putConvergence({
      environment: 'staging',
      service: 'api',
      agent: agentOf('a'),
      release: 3,
      generation: 1,
      tries: 5,
      deployment: lastTry,
      servedNothing: false,
      nextAtMs: null,
      endedAtMs: null,
      reason: null
    } as Parameters<typeof tx.putConvergence>[0])
  )
  for (let start = 1; start <= 2; start += 1) {
    const fleet = new EngineScene(scene.store, new Hosts(['a'], obedient), scene.clock)
    await fleet.deployments.start()
    await fleet.settle()
    await fleet.deployments.stop()
  }
  await scene.settle()
  t.match(
    scene.sent.map(({ notice }) => notice),
    [
      {
        type: 'convergence.given-up',
        data: {
          environment: 'staging',
          service: 'api',
          host: 'a',
          release: 3,
          tries: 5,
          reason: /last try is gone/
        }
      }
    ]
  )
})

const lostAfterMs = 60_000
const gatherMs = limits.pingIntervalMs
/** Hosts that were connected before this life of the controller. */
const openFleet = async (t: Test, hosts: string[]): Promise<Scene> => {
  const scene = await openScene(t, hosts)
  await scene.store.transaction(async (tx) => {
    for (const agent of await tx.agents()) await tx.putAgent({ ...agent, lastSeenAtMs: 1 })
  })
  await scene.make('ops')
  await scene.hostWatch.start()
  for (const host of hosts) await scene.connect(host)
  return scene
}
const hostsOf = (sent: readonly Sent[]): string[] =>
  sent.map(({ notice: { type, data } }) =>
    'hostsLeftOut' in data ? `${type} ${data.hosts.map(({ host }) => host).join(' ')}` : type
  )

t.test('hosts that go together are one notice, told once, and so is their return', async (t) => {
  const scene = await openFleet(t, ['a', 'b', 'c'])
  await scene.pass(10 * lostAfterMs)
  t.same(scene.sent, [], 'nobody is lost who is connected')
  await scene.disconnect('a', 'b')
  await scene.pass(lostAfterMs + gatherMs - 1)
  t.same(scene.sent, [])
  await scene.pass(1)
  t.same(hostsOf(scene.sent), ['host.lost a b'])
  await scene.pass(100 * lostAfterMs)
  await scene.connect('a')
  await scene.pass(gatherMs - 1)
  t.equal(scene.sent.length, 1)
  await scene.connect('b')
  await scene.pass(1)
  t.same(hostsOf(scene.sent).slice(1), ['host.returned a b'])
  t.same(await scene.store.lostHosts(), [])
})

t.test('a host that is back within the limit was never lost', async (t) => {
  const scene = await openFleet(t, ['a'])
  await scene.disconnect('a')
  await scene.pass(lostAfterMs - 1)
  await scene.connect('a')
  await scene.disconnect('a')
  await scene.pass(gatherMs + 1)
  await scene.pass(lostAfterMs - 2)
  t.same(scene.sent, [], 'its silence began anew')
  scene.connected.add(agentOf('a'))
  await scene.pass(10 * lostAfterMs)
  t.same(scene.sent, [], 'it is there, although nobody has said so yet')
})

t.test('neither a restart nor a clock that jumps loses a host', async (t) => {
  const scene = await openFleet(t, ['a', 'b'])
  await scene.disconnect('b')
  await scene.pass(lostAfterMs + gatherMs)
  t.same(hostsOf(scene.sent), ['host.lost b'])
  await scene.disconnect('a')
  const next = await scene.restart()
  next.clock.move(400 * 86_400_000)
  await next.pass(2 * limits.reconnectCapMs - 1)
  await next.connect('a')
  await next.pass(10 * lostAfterMs)
  t.same(next.sent, [], 'a is back, and b was told before')
  await next.connect('b')
  await next.pass(gatherMs)
  t.same(hostsOf(next.sent), ['host.returned b'])
  await next.stop()
})

t.test('a host that does not come back after a restart is lost', async (t) => {
  const scene = await openFleet(t, ['a'])
  const next = await scene.restart()
  await next.pass(2 * limits.reconnectCapMs + gatherMs)
  t.same(hostsOf(next.sent), ['host.lost a'])
  await next.stop()
})

t.test('a host that was removed, or was never there, is not told of', async (t) => {
  const scene = await openFleet(t, ['a', 'b'])
  await scene.disconnect('a', 'b')
  await scene.store.transaction((tx) => tx.deleteAgent(agentOf('a')))
  await scene.pass(lostAfterMs + gatherMs)
  t.same(hostsOf(scene.sent), ['host.lost b'])
  await scene.store.transaction(async (tx) => {
    for (const agent of await tx.agents())
      await tx.putAgent({ ...agent, state: 'revoked', lastSeenAtMs: null })
  })
  const next = await scene.restart()
  await next.pass(10 * lostAfterMs)
  t.same(next.sent, [])
  await next.stop()
})

t.test('a lost host that could not be stored is told of once there is room', async (t) => {
  const scene = await openFleet(t, ['a'])
  await scene.disconnect('a')
  scene.disk.isFull = true
  await scene.pass(lostAfterMs + gatherMs)
  t.match(scene.said, [/could not be told of; tried again/])
  scene.disk.isFull = false
  await scene.pass(5_000)
  t.same(hostsOf(scene.sent), ['host.lost a'])
})

t.test('a controller that was taken over tells nobody of anything', async (t) => {
  const scene = await openFleet(t, ['a'])
  await scene.disconnect('a')
  scene.isOwner = false
  await scene.pass(lostAfterMs + gatherMs)
  t.same(await scene.store.lostHosts(), [])
  await scene.owe('a')
  await scene.settle()
  t.same(scene.sent, [])
  t.equal((await scene.store.notifications({})).length, 1, 'the other one sends it')
})
