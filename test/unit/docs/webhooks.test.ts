// docs/webhooks.md: its table has every type, its example is of the documented shape, and its code verifies.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { notice, noticeTypes } from '../../../packages/controller/src/api/schemas.ts'

const page = readFileSync(new URL('../../../docs/webhooks.md', import.meta.url), 'utf8')
const codeOf = (language: string): string => page.split(`\`\`\`${language}\n`)[1]?.split('```')[0] ?? ''

t.test('the page has a row for every type', async (t) => {
  const rows = [...page.matchAll(/^\| `([a-z]+\.[a-z-]+)` \|/gm)].map((match) => match[1])
  t.same(rows, [...noticeTypes, 'webhook.test'])
})

t.test('the example of the page is what is sent', async (t) => {
  const example: unknown = JSON.parse(codeOf('json'))
  t.same(notice.parse(example), example)
})

t.test('the code of the page knows a genuine request from others', async (t) => {
  const module = `data:text/javascript,${encodeURIComponent(codeOf('js'))}`
  const { isGenuine } = (await import(module)) as {
    isGenuine(secret: string, headers: object, body: string, nowMs?: number): boolean
  }
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  const sentAtMs = 1_614_265_330_000
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
  }
  const body = '{"test": 2432232314}'
  t.equal(isGenuine(secret, headers, body, sentAtMs + 299_000), true)
  t.equal(isGenuine(secret, headers, body, sentAtMs + 300_000), false, 'too old')
  t.equal(isGenuine(secret, headers, `${body} `, sentAtMs), false)
  t.equal(isGenuine(secret.replace('M', 'N'), headers, body, sentAtMs), false)
  t.equal(isGenuine(secret, { ...headers, 'webhook-id': 'msg_other' }, body, sentAtMs), false)
  t.equal(isGenuine(secret, { ...headers, 'webhook-signature': 'v1,' }, body, sentAtMs), false)
})
