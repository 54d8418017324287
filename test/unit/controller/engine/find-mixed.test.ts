// Mixed services in a real store: counted while nobody is at work on them, and only from what is known now.
import type { InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import { countMixed } from '../../../../packages/controller/src/engine/find-mixed.ts'
import type { HostKnowledge } from '../../../../packages/controller/src/engine/host-knowledge.ts'
import type { LockRow } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, resolved } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { helloOf, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, deploying } from './scene-hosts.ts'

/** `fresh`: what each host runs; a host that is left out is silent. */
const knowledgeOf = (fresh: Record<string, InventoryContainer[]>): HostKnowledge => {
  const inventories = new Map(
    Object.entries(fresh).map(([host, containers]) => [
      agentOf(host) as string,
      { ...helloOf(host).inventory, containers }
    ])
  )
  return {
    isConnected: (agent) => inventories.has(agent),
    inventoryOf: (agent) => inventories.get(agent),
    freshInventoryOf: (agent) => inventories.get(agent),
    crashLoopsOf: () => new Map()
  }
}

/** Each tag is another image. */
const resolving: Behaviour = (host, command) => {
  if (command.body.kind !== 'resolve') return deploying(host, command)
  const { tag } = command.body.image
  return { ...resolved, result: { kind: 'resolve', digest: digestOf(tag === 'v1' ? '1' : '2') } }
}

t.test('a service is mixed while hosts run several releases, and no deployment is at work', async (t) => {
  const { scene, store } = await openScene(['a', 'b'], resolving)
  t.teardown(() => scene.close())
  for (const tag of ['v1', 'v2', 'v1']) {
    await scene.deployments.request(jenkins, requestFor({ what: { by: 'tag', tag } }))
    await scene.settle()
  }
  const agents = await store.agents()
  const count = (fresh: Record<string, InventoryContainer[]>) =>
    countMixed(store, knowledgeOf(fresh), agents, 'staging')
  const runs = (release: number) => [containerOf(release)]
  t.equal(await count({ a: runs(3), b: runs(3) }), 0)
  t.equal(await count({ a: runs(3), b: runs(1) }), 0, 'the same image from the same spec')
  t.equal(await count({ a: runs(3), b: runs(2) }), 1)
  t.equal(await count({ a: runs(3), b: runs(9) }), 1, 'a release that nobody knows')
  t.equal(await count({ a: runs(3) }), 0, 'of a host that is silent nobody knows')
  t.equal(await count({ a: runs(2), b: runs(2) }), 0, 'all differ, and alike: that is drift')

  const [deployment] = await store.deployments({ environment: 'staging', limit: 1 })
  if (deployment === undefined) throw new Error('nothing was deployed')
  const lock: LockRow = {
    service: deployment.service,
    environment: deployment.environment,
    deployment: deployment.id,
    holder: 'jenkins',
    reason: null,
    sinceMs: 0,
    owner: 'this',
    leaseUntilMs: 0
  }
  await store.transaction((tx) => tx.insertLock(lock))
  t.equal(await count({ a: runs(3), b: runs(2) }), 0, 'somebody is at work on it')
  await store.transaction((tx) => tx.deleteLock('staging', 'api'))
  t.equal(await count({ a: runs(3), b: runs(2) }), 1)
})
