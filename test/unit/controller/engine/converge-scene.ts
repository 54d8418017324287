// Hosts that are what they were told, with a real store and machine, and a clock that is moved by hand.
import type { Command, Inventory, InventoryContainer, RunOutcome } from '@longshore/protocol'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import type { EnvironmentRow, Store } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, failed } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { EngineScene, furnish, HandClock, jenkins, requestFor } from './engine-scene.ts'
import { Hosts } from './scene-hosts.ts'

/** What each host runs; commands change it, and it is told like an agent tells it. */
export class World {
  readonly store: Store
  readonly clock = new HandClock()
  readonly containers = new Map<string, InventoryContainer[]>()
  /** Hosts on which no release starts. */
  readonly broken = new Set<string>()
  /** Hosts that switch and do not say so. */
  readonly mute = new Set<string>()
  readonly #hosts: Hosts
  scene: EngineScene

  constructor(store: Store, names: string[]) {
    this.store = store
    this.#hosts = new Hosts(names, (host, command) => this.#execute(host, command))
    this.scene = new EngineScene(store, this.#hosts, this.clock)
  }

  inventoryOf(host: string): Inventory {
    return {
      isEngineReachable: true,
      containers: this.containers.get(host) ?? [],
      diskFreeBytes: null,
      diskTotalBytes: null,
      load: null,
      memoryFreeBytes: null
    }
  }
  #runs(host: string, release: number): boolean {
    const up = (this.containers.get(host) ?? []).filter(({ state }) => state === 'running')
    return up.length === 1 && up[0]?.release === release
  }
  #execute(host: string, { body, environment }: Command): RunOutcome | undefined {
    const own = this.containers.get(host) ?? []
    const former = own.find(({ state }) => state === 'running')?.release ?? null
    switch (body.kind) {
      case 'resolve': {
        const digest = digestOf(body.image.tag?.slice(-1) ?? '0')
        return { status: 'succeeded', result: { kind: 'resolve', digest }, serving: 'old', release: null }
      }
      case 'stage': {
        const isRunning = this.#runs(host, body.release)
        const image = {
          digest: body.image.digest,
          platform: 'linux/amd64',
          diffIds: [digestOf('a')],
          sizeBytes: 1
        }
        const serving = isRunning ? 'new' : former === null ? 'none' : 'old'
        return {
          status: 'succeeded',
          result: { kind: 'stage', image, isRunning },
          serving,
          release: former
        }
      }
      case 'release':
        if (this.broken.has(host)) return failed(former === null ? 'none' : 'old')
        this.containers.set(host, [containerOf(body.release, { environment })])
        if (this.mute.has(host)) return undefined
        return {
          status: 'succeeded',
          result: { kind: 'release', containers: ['it'] },
          serving: 'new',
          release: body.release
        }
      case 'revert':
        this.containers.set(host, [containerOf(body.to, { environment })])
        return { status: 'succeeded', result: { kind: 'revert' }, serving: 'old', release: body.to }
      case 'remove': {
        const { containers: named = null } = body
        const left = named === null ? [] : own.filter(({ id }) => !named.includes(id))
        this.containers.set(host, left)
        return { status: 'succeeded', result: { kind: 'remove' }, serving: 'none', release: null }
      }
      case 'settle':
        return {
          status: 'succeeded',
          result: { kind: 'settle', warnings: [] },
          serving: 'new',
          release: former
        }
      default:
        throw new Error(`${body.kind} is not prepared`)
    }
  }

  connect(host: string): Promise<void> {
    return this.scene.connect(host, { inventory: this.inventoryOf(host) })
  }
  /** Time goes on in small steps, and every host tells what it runs. */
  async pass(ms: number): Promise<void> {
    const step = Math.max(1000, ms / 20)
    for (let left = ms; left > 0; left -= step) {
      for (const host of this.#connected()) {
        this.scene.deployments.observed(agentOf(host), this.inventoryOf(host))
      }
      await this.scene.settle()
      this.clock.move(Math.min(step, left))
      await this.scene.settle()
    }
  }
  #connected(): string[] {
    return [...this.scene.connected].map((agent) => this.#hosts.nameOf(agent))
  }
  async deploy(tag: string, change: Parameters<typeof requestFor>[0] = {}): Promise<string> {
    const { id } = await this.scene.deployments.request(
      jenkins,
      requestFor({ what: { by: 'tag', tag }, ...change })
    )
    await this.pass(3000)
    return (await this.scene.deployments.view(id)).outcome ?? 'in progress'
  }
  releases(...hosts: string[]): (number | undefined)[] {
    return hosts.map((host) => this.containers.get(host)?.[0]?.release)
  }
  async converged(): Promise<string[]> {
    const all = await this.scene.deployments.list({})
    return all
      .filter(({ mode }) => mode === 'converge')
      .map(({ targets, outcome }) => `${targets[0]?.host} ${outcome}`)
      .reverse()
  }
  async statusOf(host: string) {
    const [view] = await this.scene.deployments.status({})
    return view?.hosts.find((one) => one.host === host)
  }
  /** The controller is killed; another one takes its store. */
  async restart(): Promise<void> {
    await this.scene.die()
    const hosts = this.#connected()
    this.scene = new EngineScene(this.store, this.#hosts, this.clock)
    await this.scene.deployments.start()
    for (const host of hosts) await this.connect(host)
  }
  async close(): Promise<void> {
    await this.scene.close()
  }
}

export const openWorld = async (...hosts: string[]): Promise<World> => {
  const store = await openStore({ path: ':memory:' })
  await furnish(store, hosts)
  const world = new World(store, hosts)
  await world.scene.deployments.start()
  return world
}
/** Hosts that were changed by hand are repaired from now on. */
export const healing = (world: World): Promise<void> =>
  world.store.transaction((tx) =>
    tx.putEnvironment({
      name: 'staging' as EnvironmentRow['name'],
      createdAtMs: 0,
      heal: true,
      promotesFrom: null,
      sources: null
    })
  )

/** A revision of the spec, and what its placement says. */
export const place = (world: World, revision: number, role: string): Promise<void> =>
  world.store.transaction(async (tx) => {
    const former = await tx.spec('staging', 'api')
    if (former === undefined) throw new Error('there is no spec')
    const constraints = [{ label: 'role', operator: '==' as const, value: role }]
    await tx.insertSpec({ ...former, revision, spec: { ...former.spec, constraints } })
  })
export const label = (world: World, host: string, role: string): Promise<void> =>
  world.store.transaction(async (tx) => {
    const row = await tx.agent(agentOf(host))
    if (row === undefined) throw new Error(`there is no host ${host}`)
    await tx.putAgent({ ...row, labels: { role } })
  })
