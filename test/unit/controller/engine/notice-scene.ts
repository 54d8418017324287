// What webhooks are owed and told, over a real store: receivers answer as they are told to, and time is moved by hand.
import type { AgentId, WebhookId } from '@longshore/protocol'
import type { Test } from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import {
  type CreateWebhook,
  createWebhook,
  type Notice
} from '../../../../packages/controller/src/api/schemas.ts'
import { createEventStream } from '../../../../packages/controller/src/engine/event-stream.ts'
import {
  createNotifications,
  type Notifications
} from '../../../../packages/controller/src/engine/notifications.ts'
import { oweNotices, watchOwed } from '../../../../packages/controller/src/engine/owe-notices.ts'
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
import { agentOf } from '../core/deployment-scenes.ts'
import { beginScene, furnish, HandClock, jenkins } from './engine-scene.ts'
import { Hosts, obedientTo } from './scene-hosts.ts'

export type Sent = { to: string; id: string; notice: Notice }
/** What a receiver says; undefined: nothing, until the test ends. */
type Answers = (to: string, sent: Sent) => Delivery | undefined
export const taken: Delivery = { status: 200, detail: '200' }
export const busy: Delivery = { status: 503, detail: '503 busy' }

/** Readable on purpose: the tests look for secrets where they must not be. */
export const sealer: Sealer = {
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

/** Hosts on which nothing goes back. */
export const switching = obedientTo('resolve', 'stage', 'release', 'settle')

export class NoticeScene {
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
    const events = createEventStream('run')
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
  /** Deployments over the same store; with each of these hosts connected. */
  deployOn(hosts: string[], behaviour = switching) {
    return beginScene(this.store, new Hosts(hosts, behaviour), this.clock)
  }
  /** The next life of the controller over the same store. */
  async restart(): Promise<NoticeScene> {
    await this.stop()
    const next = new NoticeScene(this.store, [this.clock, new HandClock()], this.random)
    await next.hostWatch.start()
    next.notifications.wake()
    await next.settle()
    return next
  }
}

/** @param hosts that are enrolled */
export const openNotices = async (t: Test, hosts: string[] = []): Promise<NoticeScene> => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, hosts)
  const scene = new NoticeScene(store)
  t.teardown(async () => {
    await scene.stop()
    await store.close()
    if (scene.steadyClock.waiting > 0) throw new Error('a timer is left')
  })
  return scene
}
