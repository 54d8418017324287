// Hosts that are lost and return: told of once each, together where they go together, also over a restart of the
// controller.
import { limits } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { agentOf } from '../core/deployment-scenes.ts'
import { type NoticeScene, openNotices, type Sent } from './notice-scene.ts'

const lostAfterMs = 60_000
const gatherMs = limits.pingIntervalMs
/** Hosts that were connected before this life of the controller. */
const openFleet = async (t: Test, hosts: string[]): Promise<NoticeScene> => {
  const scene = await openNotices(t, hosts)
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
