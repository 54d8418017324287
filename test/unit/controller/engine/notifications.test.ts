// Notifications are sent again until they are taken or given up, whatever the receiver, the disk or the clock does.
import t from 'tap'
import { maxTries } from '../../../../packages/controller/src/core/notifications/retry.ts'
import { jenkins, requestFor } from './engine-scene.ts'
import { busy, openNotices, taken } from './notice-scene.ts'

t.test('a receiver that refuses is asked again with the same id, later and later', async (t) => {
  const scene = await openNotices(t)
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
  const scene = await openNotices(t)
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
  const scene = await openNotices(t, ['a'])
  await scene.make('slow')
  await scene.make('quick')
  scene.answers = (to) => (to.startsWith('https://slow.') ? undefined : taken)
  const fleet = await scene.deployOn(['a'])
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

t.test('a notification is given up after three days, shown for a week, and then forgotten', async (t) => {
  const scene = await openNotices(t)
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
  const scene = await openNotices(t)
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
  const scene = await openNotices(t)
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
