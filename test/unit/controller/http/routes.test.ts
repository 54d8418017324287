// Every route says who may use it, and every way in which a start fails is documented.
import { readFileSync } from 'node:fs'
import { fastify } from 'fastify'
import t from 'tap'
import { guardRoutes } from '../../../../packages/controller/src/adapters/http/access.ts'
import { dataErrors } from '../../../../packages/controller/src/adapters/keys/data-directory.ts'
import { storeErrors } from '../../../../packages/controller/src/adapters/sql/store-errors.ts'
import { createApiToken } from '../../../../packages/controller/src/api/schemas.ts'
import type { BrowserSessions } from '../../../../packages/controller/src/engine/browser-sessions.ts'
import type { Callers } from '../../../../packages/controller/src/engine/callers.ts'
import type { Failures } from '../../../../packages/controller/src/engine/count-failures.ts'
import { createFailures } from '../../../../packages/controller/src/engine/count-failures.ts'
import { installationErrors } from '../../../../packages/controller/src/engine/installation.ts'
import { readSettings, startSettings } from '../../../../packages/controller/src/settings.ts'

const unprepared = () => {
  throw new Error('not prepared')
}
const callers: Callers = { authenticate: unprepared, isGood: unprepared }
const imageCallers = { authenticate: unprepared }
const sessions: BrowserSessions = { begin: unprepared, beginFor: unprepared, authenticate: unprepared }
const failures: Failures = { demandPatience: () => {}, count: () => {} }

t.test('a route that declares no access cannot be registered', async (t) => {
  const app = fastify()
  guardRoutes(app, { callers, imageCallers, sessions, failures })
  t.throws(() => app.get('/v1/forgotten', async () => 'secret'), { message: /declares no access/ })
})

t.test('a route that needs a permission is not reached without a token', async (t) => {
  const app = fastify()
  guardRoutes(app, { callers, imageCallers, sessions, failures })
  app.get('/v1/guarded', { config: { access: { kind: 'any-token' } } }, unprepared)
  const { statusCode, body } = await app.inject('/v1/guarded')
  t.equal(statusCode, 401)
  t.match(body, 'Authorization: Bearer')
})

t.test('an address waits after too many failures, until the window is over', async (t) => {
  let nowMs = 0
  const counted = createFailures({ clock: { nowMs: () => nowMs, at: unprepared } })
  for (let tries = 0; tries < 20; tries += 1) counted.count('::ffff:192.0.2.1')
  t.throws(() => counted.demandPatience('192.0.2.1'), { code: 'rate-limited', message: /60 s/ })
  counted.demandPatience('192.0.2.2')
  nowMs = 60_000
  counted.demandPatience('192.0.2.1')
})

t.test('a token cannot be given a life that the store could not read back', async (t) => {
  const { success } = createApiToken.safeParse({
    name: 'x',
    allow: ['read:*/*'],
    ttlMs: Number.MAX_SAFE_INTEGER
  })
  t.notOk(success)
})

t.test('settings that cannot work are named', async (t) => {
  const read = (change: object) => readSettings(startSettings, { dataDir: '/d', ...change })
  t.same(read({ listen: '[::1]:7300' }).listen, { host: '::1', port: 7300 })
  t.throws(() => read({ listen: 'nowhere' }), { code: 'invalid-setting', message: /^listen: / })
  t.throws(() => read({ trustedProxies: ['x'] }), {
    code: 'invalid-setting',
    message: /^trustedProxies\.0: /
  })
})

t.test('docs/controller.md has a row for every code at start', async (t) => {
  const text = readFileSync(new URL('../../../../docs/controller.md', import.meta.url), 'utf8')
  const codes = [...Object.keys(dataErrors), ...Object.keys(installationErrors), ...Object.keys(storeErrors)]
  for (const code of codes.filter((one) => one !== 'value-refused')) {
    t.match(text, `\`${code}\``)
  }
})
