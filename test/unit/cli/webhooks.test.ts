// What `longshore webhooks` asks the controller for, and how webhooks are listed.
import t from 'tap'
import { type WebhookView, webhookView } from '../../../packages/controller/src/api/schemas.ts'
import { renderWebhooks } from '../../../packages/controller/src/cli/render-webhooks.ts'
import { createColors } from '../../../packages/controller/src/cli/state-colors.ts'
import { nowMs, runCommandOf } from '../../support/cli-unit.ts'

const run = (client: object, args: string[], stdin = '') =>
  runCommandOf(client, ['webhooks', ...args], { readStdin: async () => stdin })

const view = (change: Partial<WebhookView>): WebhookView =>
  webhookView.parse({
    id: 'whk_00000000000000000001',
    name: 'ops',
    format: 'standard',
    target: 'https://ops.example.com/…',
    environments: [],
    events: [],
    state: 'active',
    reason: null,
    createdAtMs: 0,
    createdBy: 'admin',
    lastTry: null,
    waiting: 0,
    givenUp: 0,
    ...change
  })

t.test('the secret of a new webhook stands alone on stdout; a chat has none', async (t) => {
  const asked: unknown[] = []
  const secrets: (string | null)[] = ['whsec_abc', null]
  const createWebhook = async (body: { name: string }) => {
    asked.push(body)
    return { id: 'whk_1', name: body.name, secret: secrets.shift() ?? null }
  }
  const options = ['--env', 'a', '--env', 'b', '--event', 'host.lost']
  const url = 'https://x.example/secret'
  const signed = await run({ createWebhook }, ['create', '--name', 'ops', '--to', url, ...options])
  t.same(signed, { out: 'whsec_abc\n', err: 'webhook whk_1 (ops)\n' })
  const chat = ['create', '--name', 'chat', '--to', '-', '--format', 'slack']
  t.same(await run({ createWebhook }, chat, `${url}\n`), { out: '', err: 'webhook whk_1 (chat)\n' })
  t.same(asked, [
    { name: 'ops', url, format: 'standard', environments: ['a', 'b'], events: ['host.lost'] },
    { name: 'chat', url, format: 'slack', environments: [], events: [] }
  ])
})

t.test('webhooks are listed with how the last try ended', async (t) => {
  const webhooks = [
    view({}),
    view({
      name: 'pager',
      environments: ['production'] as WebhookView['environments'],
      events: ['host.lost', 'deployment.mixed'],
      waiting: 2,
      lastTry: { atMs: nowMs - 5_000, isDelivered: false, detail: `503 ${'x'.repeat(200)}` }
    }),
    view({ name: 'old', state: 'disabled', reason: 'its receiver answered 410 (gone)', givenUp: 1 }),
    view({ name: 'well', lastTry: { atMs: nowMs - 60_000, isDelivered: true, detail: '204' } })
  ]
  const [, ops, pager, old, well] = renderWebhooks(webhooks, createColors(false), nowMs).split('\n')
  t.match(ops, /^ops +standard +https:\/\/ops\.example\.com\/… +all +all +active +0 +0 +-$/)
  t.match(pager, / production +host\.lost,deployment\.mixed +active +2 +0 +failed: 503 x{70,76}…, 5s ago$/)
  t.match(old, / disabled +0 +1 +its receiver answered 410 \(gone\)$/)
  t.match(well, / delivered, 1m 00s ago$/)
  t.match(renderWebhooks([], createColors(false), nowMs), /no webhooks; make one with/)
  const listed = await run({ webhooks: async () => webhooks }, ['list', '--output', 'ndjson'])
  t.match(JSON.parse(listed.out.split('\n')[1] ?? ''), { type: 'webhook', name: 'pager', waiting: 2 })
})

t.test('a webhook is tested and removed by its name', async (t) => {
  const testWebhook = async (name: string) => ({ id: 'whk_1', name, detail: '204' })
  t.same(await run({ testWebhook }, ['test', 'ops']), { out: '', err: 'webhook ops took the test: 204\n' })
  const removeWebhook = async (name: string) => t.equal(name, 'ops')
  t.same(await run({ removeWebhook }, ['remove', 'ops']), { out: '', err: 'webhook ops is removed\n' })
})
