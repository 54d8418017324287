// An agent that was revoked, replaced or removed: nothing waits for it, nothing is owed to it, also when the controller
// died before it could say so.
import type { ServiceName } from '@longshore/protocol'
import t from 'tap'
import type { Store } from '../../../../packages/controller/src/ports.ts'
import { agentOf, digestOf, released, staged } from '../core/deployment-scenes.ts'
import { EngineScene, jenkins, openScene, requestFor } from './engine-scene.ts'
import type { Behaviour } from './scene-hosts.ts'

const a = agentOf('a')
/** Switches nothing on host a, and has nothing to tidy up. */
const stuck: Behaviour = (host, { body }) => {
  if (body.kind === 'stage') return staged(false, 'a', 6)
  return host === 'a' || body.kind !== 'release' ? undefined : released
}
const begin = async (names: string[]) => {
  const { store, hosts, scene } = await openScene(names, stuck)
  const what = { by: 'digest', digest: digestOf('7') } as const
  const { id } = await scene.deployments.request(jenkins, requestFor({ what }))
  await scene.settle()
  return { store, hosts, scene, id }
}
const revoke = (store: Store): Promise<void> =>
  store.transaction(async (tx) => {
    const row = await tx.agent(a)
    if (row === undefined) throw new Error('there is no agent')
    await tx.putAgent({ ...row, state: 'revoked', stateReason: 'replaced by agt_b, approved by ops' })
  })

t.test('nothing waits for it, and what it was owed is let go', async (t) => {
  const { store, scene, id } = await begin(['a'])
  await store.transaction((tx) =>
    tx.putConvergence({
      environment: 'staging' as never,
      service: 'api' as ServiceName,
      agent: a,
      release: 6,
      generation: 1,
      tries: 1,
      deployment: null,
      servedNothing: false,
      nextAtMs: null,
      endedAtMs: null,
      reason: null
    })
  )
  await scene.deployments.agentGone(a)
  t.equal((await scene.deployments.view(id)).outcome, null, 'an active one is left alone')
  await revoke(store)
  await scene.deployments.agentGone(a)
  const { outcome, reason } = await scene.deployments.view(id)
  t.equal(outcome, 'mixed')
  t.match(reason, /host a: its agent was replaced by agt_b, approved by ops \(what runs there is not known\)/)
  t.same(await store.outbox({ agent: a, isEnded: false }), [])
  t.same(await store.convergences({ agent: a }), [])
  t.same(await store.lock('staging', 'api'), undefined)
  await scene.close()
})

t.test('a controller that died before it heard of it says so at its next start', async (t) => {
  const { store, hosts, scene, id } = await begin(['a', 'b'])
  await revoke(store)
  await scene.die()
  const next = new EngineScene(store, hosts)
  await next.deployments.start()
  await next.settle()
  const { targets } = await next.deployments.view(id)
  t.match(targets, [
    { host: 'a', state: 'unknown', reason: 'its agent was replaced by agt_b, approved by ops' },
    {}
  ])
  t.same(await store.outbox({ agent: a, isEnded: false }), [])
  await next.close()
})
