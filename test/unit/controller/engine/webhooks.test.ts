// Webhooks as people make and remove them: what is refused, where secrets stand, and a receiver that is gone.
import t from 'tap'
import { createWebhook } from '../../../../packages/controller/src/api/schemas.ts'
import { jenkins } from './engine-scene.ts'
import { busy, openNotices, sealer, taken } from './notice-scene.ts'

t.test('a webhook whose receiver is gone is disabled, until a test is taken', async (t) => {
  const scene = await openNotices(t)
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

t.test('a signing secret is shown once and stands nowhere else', async (t) => {
  const scene = await openNotices(t)
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
  const scene = await openNotices(t)
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
