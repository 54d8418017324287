// `longshore apply` as a process: real service files, a stand-in for the controller.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { json, startStandIn } from '../support/controller-stand-in.ts'

const main = new URL('../../packages/controller/src/cli/main.ts', import.meta.url).pathname
type Ended = { code: number; out: string; err: string }

const run = (url: string, args: string[], input = ''): Promise<Ended> =>
  new Promise((resolve) => {
    const env = { PATH: process.env['PATH'], LONGSHORE_URL: url, LONGSHORE_TOKEN: 'secret', TAG: '1.2' }
    const child = execFile(process.execPath, [main, 'apply', ...args], { env }, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err })
    )
    child.stdin?.end(input)
  })

const unset = { heal: false, promotesFrom: null, freeze: null }
const file = `services:
  web:
    image: registry.example/web:\${TAG}
    build: .
    env_file: [web.env]
    environment: { STAGE: "\${LONGSHORE_ENVIRONMENT}" }
`

t.test('every change is tried before the first is made, and notices are said once', async (t) => {
  const standIn = await startStandIn()
  t.teardown(() => standIn.stop())
  const dir = t.testdir({ 'base.yaml': file, 'web.env': 'FROM_FILE=yes\n' })
  for (const environment of ['wip', 'staging']) {
    standIn.on(`PUT /v1/environments/${environment}/services/web/spec`, (response) =>
      json(response, 200, {
        service: 'web',
        environment,
        revision: 4,
        isChanged: environment === 'wip',
        changes: environment === 'wip' ? [{ path: 'image.tag', before: '1.1', after: '1.2' }] : []
      })
    )
  }
  standIn.on('GET /v1/environments', (response) =>
    json(
      response,
      200,
      ['wip', 'staging'].map((name) => ({ name, createdAtMs: 0, agents: 1, ...unset }))
    )
  )
  const { code, out, err } = await run(standIn.url, ['-f', join(dir, 'base.yaml'), '--all-envs'])
  t.equal(code, 0, err)
  t.equal(
    out,
    'web in wip: applied as revision 4\n  ~ image.tag: "1.1" -> "1.2"\nweb in staging: unchanged, revision 4\n'
  )
  t.equal(err.split('docker compose only').length, 2, err)
  const puts = standIn.asked.filter(({ method }) => method === 'PUT')
  t.match(puts, [
    {
      path: /wip/,
      body: {
        dryRun: true,
        spec: { image: { tag: '1.2' }, environment: { STAGE: 'wip', FROM_FILE: 'yes' } }
      }
    },
    { path: /staging/, body: { dryRun: true, spec: { environment: { STAGE: 'staging' } } } },
    { path: /wip/, body: { dryRun: false } }
  ])
  t.equal(puts.length, 3, 'what has not changed is not sent again')
})

t.test('a mistake is named with file, line, path and nearest key, and nothing is sent', async (t) => {
  const standIn = await startStandIn()
  t.teardown(() => standIn.stop())
  const wrong = 'services:\n  web:\n    image: web:1\n    enviroment: {}\n'
  const { code, out, err } = await run(standIn.url, ['-f', '-', '--env', 'wip'], wrong)
  t.equal(code, 2)
  t.equal(out, '')
  t.match(err, /<stdin>:4:\d+:.*enviroment.*environment/)
  t.same(standIn.asked, [])
})

t.test('a mistake in the file is told before a missing token', async (t) => {
  const dir = t.testdir({ 'wrong.yaml': 'services:\n  web:\n    imagee: web:1\n' })
  const child = await new Promise<Ended>((resolve) => {
    const args = [main, 'apply', '-f', join(dir, 'wrong.yaml'), '--env', 'wip']
    const running = execFile(
      process.execPath,
      args,
      { env: { PATH: process.env['PATH'] } },
      (_error, out, err) => resolve({ code: running.exitCode ?? -1, out, err })
    )
  })
  t.match(child, { code: 2, out: '', err: /wrong\.yaml:3/ })
  t.notMatch(child.err, /no API token/)
})
