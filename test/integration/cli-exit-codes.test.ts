// The real `longshore` process against a real controller, whose only host is a scripted agent: each of the eight exit
// codes, and what the commands around a deployment do.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type RunOutcome, runOutcome } from '@longshore/protocol'
import t from 'tap'
import { enrol, newMachine } from '../support/agent-client.ts'
import { type Behaviour, connectAnswering, obedient } from '../support/answering-agent.ts'
import { type Running, run, saysOnStderr } from '../support/cli-process.ts'
import { childrenOf, readXml, type Xml } from '../support/read-xml.ts'
import { specOf, startRealController } from '../support/real-controller.ts'

// some thirty processes: on a machine that does other work too
t.setTimeout(240_000)

const controller = await startRealController(t)
const machine = await newMachine('host-a')
await enrol(controller.url, machine, (await controller.joinToken()).token)
/** What the host does now; a test that changes it puts it back. */
let behaviour: Behaviour = obedient
const agent = await connectAnswering(controller.url, machine, await controller.trust(), (command) =>
  behaviour(command)
)
t.teardown(() => agent.socket.terminate())
for (const service of ['web', 'api', 'broken', 'half', 'busy']) {
  const path = `/v1/environments/staging/services/${service}/spec`
  await controller.ask('PUT', path, { body: { spec: specOf() } })
}

type Ended = { code: number | null; out: string; err: string }
const start = (args: readonly string[], env: NodeJS.ProcessEnv = {}): Running =>
  run(controller.url, [...args], { LONGSHORE_TOKEN: controller.token, ...env })
const cli = (...args: string[]): Promise<Ended> => start(args).ended
const deploy = (service: string, ...more: string[]): string[] => [
  'deploy',
  service,
  '--env',
  'staging',
  '--tag',
  '1',
  ...more
]
const json = (out: string): Record<string, unknown> => JSON.parse(out)

const error = { code: 'unhealthy', detail: 'it exited', step: 'await-healthy', log: ['boom'] }
const ended = (status: string, serving: string): RunOutcome =>
  runOutcome.parse({ status, error, serving, release: null })
/** As obedient, except for one kind of command. */
const except =
  (kind: string, outcome: RunOutcome | undefined): Behaviour =>
  (command) =>
    command.body.kind === kind ? outcome : obedient(command)
const whileHost = async <T>(does: Behaviour, work: () => Promise<T>): Promise<T> => {
  behaviour = does
  try {
    return await work()
  } finally {
    behaviour = obedient
  }
}
const report = t.testdir({})
const junit = (name: string): { path: string; suite(): Xml } => {
  const path = join(report, name)
  return {
    path,
    suite: () => {
      const [suite] = childrenOf(readXml(readFileSync(path, 'utf8')), 'testsuite')
      if (suite === undefined) throw new Error('no suite')
      return suite
    }
  }
}

t.test('0: it succeeded; the report has a passed case with its time and steps', async (t) => {
  const { path, suite } = junit('good.xml')
  const { code, out, err } = await cli(...deploy('web', '--junit', path, '--reason', 'release day'))
  t.equal(code, 0, err)
  t.match(out, /^succeeded: web in staging, release 1 \(1 sha256:a+\), deployment dep_/)
  t.match(out, /HOST +STATE +SERVING +REASON\nhost-a +released +1 \(new\)/)
  t.match(suite().attributes, { tests: '1', failures: '0', errors: '0', skipped: '0' })
  const [only] = childrenOf(suite(), 'testcase')
  t.match(only?.attributes, { name: 'host-a', classname: 'staging.web', time: /^0\.0\d\d$/ })
  t.match(childrenOf(only, 'system-out')[0]?.text, /^release: done/m)
  t.match((await cli('deployments')).out, /dep_\w+ +deploy +staging +web .*succeeded.*release day/)
})

t.test('1: it failed and what had switched is back', async (t) => {
  const { path, suite } = junit('bad.xml')
  const failing = except('release', ended('failed', 'none'))
  const { code, out } = await whileHost(failing, () => cli(...deploy('broken', '--junit', path)))
  t.equal(code, 1)
  t.match(out, /^reverted: broken in staging[\s\S]*last lines of the container on host-a:\n {2}\| boom/)
  const [only] = childrenOf(suite(), 'testcase')
  t.match(childrenOf(only, 'failure'), [{ attributes: { type: 'unhealthy' }, text: /\| boom/ }])
})

t.test('2: a mistake of whoever asks; a report that cannot be written stops all', async (t) => {
  const path = junit('none.xml')
  const [unknown, unwritable, unconfirmed] = await Promise.all([
    cli(...deploy('wbe', '--junit', path.path)),
    cli(...deploy('web', '--junit', report)),
    cli('remove', 'web', '--env', 'staging')
  ])
  t.match(unknown, { code: 2, out: '', err: /there are: .*web/ })
  t.match(childrenOf(childrenOf(path.suite(), 'testcase')[0], 'failure'), [
    { attributes: { type: 'unknown-service' } }
  ])
  t.match(unwritable, { code: 2, out: '', err: /cannot write the report/ })
  t.match(unconfirmed, { code: 2, out: '', err: /add --yes/ })
})

t.test('3: whoever asks may not', async (t) => {
  const token = await controller.tokenFor('read:*/*')
  const [nobody, reader] = await Promise.all([
    start(deploy('web'), { LONGSHORE_TOKEN: 'nonsense' }).ended,
    start(deploy('web'), { LONGSHORE_TOKEN: token }).ended
  ])
  t.match(nobody, { code: 3, out: '' })
  t.match(reader, { code: 3, out: '' })
})

t.test('4: refused, by a host, by a plan, or by a person', async (t) => {
  const notReady = except('stage', ended('failed', 'none'))
  t.match(await whileHost(notReady, () => cli(...deploy('half'))), { code: 4, out: /^refused: half/ })
  t.match(
    await whileHost(notReady, () => cli(...deploy('half', '--plan'))),
    { code: 0 },
    'a plan stages nothing'
  )
  const refusals = [{ code: 'port-taken', detail: 'port 80 is taken' }]
  const plan = { kind: 'plan', isRunning: false, serves: null, steps: [], refusals }
  const refusing = except(
    'plan',
    runOutcome.parse({ status: 'succeeded', result: plan, serving: 'none', release: null })
  )
  const planned = await whileHost(refusing, () => cli(...deploy('half', '--plan')))
  t.match(planned, { code: 4, out: /would be refused[\s\S]*! port-taken: port 80 is taken/ })

  t.match(await cli('lock', 'staging', 'web', '--reason', 'sale'), {
    code: 0,
    err: /web in staging is locked: sale/
  })
  const frozen = await cli(...deploy('web', '--output', 'json', '--wait-for-lock', '1m'))
  t.match(frozen, { code: 4, err: /sale[\s\S]*longshore unlock staging web/ })
  t.match(json(frozen.out), { outcome: 'refused', code: 'frozen', freeze: { reason: 'sale' } })
  t.match(await cli('unlock', 'staging', 'web'), { code: 0 })
})

t.test('5: nobody knows what runs on a host', async (t) => {
  const { path, suite } = junit('mixed.xml')
  const silent = ended('unknown', 'unknown')
  const lost: Behaviour = (command) =>
    command.body.kind === 'release' || command.body.kind === 'remove' ? silent : obedient(command)
  const { code } = await whileHost(lost, () => cli(...deploy('half', '--junit', path)))
  t.equal(code, 5)
  t.match(suite().attributes, { errors: '1' })
})

/** Begins a deployment that stands still until its host is told to go on; its id stands on stderr. */
const begin = async (args: readonly string[]): Promise<{ running: Running; id: string }> => {
  const staged = Promise.withResolvers<void>()
  behaviour = (command) => {
    if (command.body.kind !== 'stage') return obedient(command)
    staged.resolve()
    return undefined
  }
  const running = start(args)
  await staged.promise
  const { body } = await controller.ask('GET', '/v1/deployments?active=true')
  const [{ id } = { id: '' }] = body as unknown as { id: string }[]
  return { running, id }
}

t.test('6: a signal, or the time limit, cancelled it', async (t) => {
  const aborted = await begin(deploy('busy'))
  const said = saysOnStderr(aborted.running, 'SIGTERM: cancelling')
  aborted.running.child.kill('SIGTERM')
  await said
  t.match(await aborted.running.ended, { code: 6, out: /^cancelled: busy/ })
  const late = await begin(deploy('busy', '--timeout', '3s', '--on-timeout', 'cancel'))
  t.match(await late.running.ended, { code: 6, err: /has not ended after 3s: cancelling/ })
  behaviour = obedient
})

t.test('7: the wait is over and it goes on; somebody who waits for its lock is next', async (t) => {
  const { path, suite } = junit('unknown.xml')
  const { running, id } = await begin(deploy('busy', '--timeout', '3s', '--junit', path))
  const waiting = start(deploy('busy', '--wait-for-lock', '2m'))
  await saysOnStderr(waiting, `locked by deployment ${id}`)
  t.match(await running.ended, { code: 7, out: `${id}\n`, err: new RegExp(`longshore attach ${id}`) })
  t.match(suite().attributes, { tests: '1', errors: '1' })
  const stopped = start(deploy('busy', '--wait-for-lock', '2m'))
  await saysOnStderr(stopped, 'locked by deployment')
  stopped.child.kill('SIGINT')
  t.match(await stopped.ended, { code: 4, err: /on a signal; nothing was begun/ })
  behaviour = obedient
  t.match(await cli('cancel', id), { code: 6 })
  const next = await waiting.ended
  t.equal(next.code, 0, next.err)
})

t.test('the same step of the same build finds its deployment, another one begins its own', async (t) => {
  const env = { BUILD_TAG: 'jenkins-api-1' }
  const first = await start(deploy('api', '--output', 'json'), env).ended
  t.equal(first.code, 0, first.err)
  const again = await start(deploy('api', '--output', 'json'), env).ended
  t.match(again, { code: 0, err: /attached to dep_.*nothing new is begun/ })
  t.match(json(again.out), { id: json(first.out)['id'], attached: true })
  const [other, none] = await Promise.all([
    start(['restart', 'api', '--env', 'staging', '--output', 'json'], env).ended,
    start(deploy('web', '--output', 'json', '--no-idempotency-key'), env).ended
  ])
  t.equal(other.code, 0, other.err)
  t.not(json(other.out)['id'], json(first.out)['id'])
  t.equal(none.code, 0, none.err)
})

t.test('several services are one deployment; a rehearsal and a removal end with 0', async (t) => {
  const args = ['deploy', '--services', 'api,web', '--env', 'staging', '--tag', '2', '--tag', 'web=3']
  const several = await cli(...args)
  t.equal(several.code, 0, several.err)
  t.match(
    several.out,
    /^succeeded: api, web in staging, deployment dep_\w+, .*\n {2}api: release \d+ \(2 .*\n {2}web: release \d+ \(3 /
  )
  t.match(several.out, /SERVICE +HOST +STATE[^\n]*\napi +host-a +released[^\n]*\nweb +host-a +released/)
  t.match(several.err, /api on host-a: released/)
  t.match(await cli(...deploy('api', '--rehearse')), { code: 0, out: /^succeeded: rehearsal of api/ })
  t.match(await cli('remove', 'web', '--env', 'staging', '--yes'), {
    code: 0,
    out: /^succeeded: removal of web/
  })
})
