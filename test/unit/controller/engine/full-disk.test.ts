// What still works while the disk under the store is full, and what is made good once there is room again.
import { generateSigningKey } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { createFleet } from '../../../../packages/controller/src/engine/fleet.ts'
import type { Installation } from '../../../../packages/controller/src/engine/installation.ts'
import { foundInstallation } from '../../../../packages/controller/src/engine/installation.ts'
import { createPresences } from '../../../../packages/controller/src/engine/presence.ts'
import { createTokens, makeApiToken } from '../../../../packages/controller/src/engine/tokens.ts'
import { createWriter } from '../../../../packages/controller/src/engine/writer.ts'
import { type Store, StoreFull } from '../../../../packages/controller/src/ports.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { beginScene, furnish, HandClock, jenkins, requestFor } from './engine-scene.ts'
import { Hosts } from './scene-hosts.ts'

/** A real store whose writes fail while `disk.isFull`. */
const storeOnDisk = async () => {
  const disk = { isFull: false }
  const real = await openStore({ path: ':memory:' })
  const store: Store = {
    ...real,
    transaction: async (work) => {
      if (disk.isFull) throw new StoreFull('the disk is full')
      return real.transaction(work)
    }
  }
  return { disk, store }
}

t.test('an API token is recognised although its use cannot be noted', async (t) => {
  const { disk, store } = await storeOnDisk()
  const clock = new HandClock()
  const random = { bytes: (count: number) => new Uint8Array(count).fill(7) }
  const { key } = await generateSigningKey()
  const installation = await foundInstallation({ store, clock, random }, key)
  const ports = { store, clock, random, installation, writer: createWriter({ store, clock }) }
  const wish = { name: 'ops', allow: ['read:*/*' as const], ttlMs: null }
  const { token } = await makeApiToken(ports, jenkins, wish)
  disk.isFull = true
  const caller = await createTokens(ports).authenticate(token, '10.0.0.9')
  t.equal(caller.actor.name, 'ops')
})

t.test('a life sign that cannot be kept harms nobody', async (t) => {
  const { disk, store } = await storeOnDisk()
  await furnish(store, ['a'])
  const clock = new HandClock()
  const writer = createWriter({ store, clock })
  const unprepared = () => {
    throw new Error('not prepared')
  }
  const link = { isConnected: unprepared, capabilitiesOf: unprepared, send: unprepared, close: unprepared }
  const presences = createPresences({ store, clock, publisher: { publish: unprepared } })
  const deployments = { agentGone: unprepared }
  const installation = {} as Installation
  const fleet = createFleet({ store, writer, clock, link, installation, presences, deployments })
  disk.isFull = true
  await fleet.lastSeen(agentOf('a'), 5)
  t.equal((await store.agent(agentOf('a')))?.lastSeenAtMs, null)
})

t.test('a host that went away while the disk was full is lost in time all the same', async (t) => {
  const { disk, store } = await storeOnDisk()
  await furnish(store, ['a'])
  const scene = await beginScene(store, new Hosts(['a'], () => undefined))
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  disk.isFull = true
  await scene.disconnect('a')
  disk.isFull = false
  scene.clock.move(5_000)
  await scene.settle()
  scene.clock.move(56_000)
  await scene.settle()
  t.equal((await scene.deployments.view(id)).outcome, 'refused')
  t.match(scene.faults[0], /could not be stored; it is tried again/)
  await scene.deployments.stop()
  t.equal(scene.clock.waiting, 0)
})
