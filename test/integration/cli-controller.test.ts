// What people do around a deployment, by the CLI against a real controller with scripted hosts: a pause and its end,
// release commands, promotion, an agent that is revoked while it is waited for. All in the test's own process.
import { type RunOutcome, runOutcome } from '@longshore/protocol'
import t from 'tap'
import type { CliContext, Output } from '../../packages/controller/src/cli/cli-context.ts'
import { createClient } from '../../packages/controller/src/cli/client.ts'
import { readSettings } from '../../packages/controller/src/cli/read-settings.ts'
import { runCli } from '../../packages/controller/src/cli/run-cli.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { type Behaviour, connectAnswering, obedient } from '../support/answering-agent.ts'
import { specOf, startRealController } from '../support/real-controller.ts'

const controller = await startRealController(t)
/** What a host does; a test that changes it puts it back. */
const behaviours = new Map<string, Behaviour>()
for (const [host, environment] of [
  ['host-a', 'staging'],
  ['host-b', 'staging'],
  ['host-p', 'production']
] as const) {
  const machine = await newMachine(host)
  await enrol(controller.url, machine, (await controller.joinToken({ environment })).token)
  const agent = await connectAnswering(controller.url, machine, await controller.trust(), (command) =>
    (behaviours.get(host) ?? obedient)(command)
  )
  t.teardown(() => agent.socket.terminate())
}
const apply = (environment: string, service: string, more: object = {}) =>
  controller.ask('PUT', `/v1/environments/${environment}/services/${service}/spec`, {
    body: { spec: specOf(more) }
  })

type Ended = { code: number; out: string; err: string }
type Running = { ended: Promise<Ended>; says(text: string): Promise<void> }
const start = (...args: string[]): Running => {
  const written = { out: '', err: '' }
  const waiting = new Set<() => void>()
  const output = (name: 'out' | 'err'): Output => ({
    write: (text) => {
      written[name] += text
      for (const look of waiting) look()
    },
    isTerminal: false,
    hasColor: false,
    columns: () => 80,
    rows: () => 24,
    onResize: () => () => {},
    onClosed: () => () => {}
  })
  const unprepared = () => {
    throw new Error('not prepared')
  }
  const env = { LONGSHORE_URL: controller.url, LONGSHORE_TOKEN: controller.token }
  const context: CliContext = {
    env,
    stdout: output('out'),
    stderr: output('err'),
    readStdin: unprepared,
    askLine: unprepared,
    readFile: unprepared,
    nowMs: () => Date.now(),
    controllerNowMs: () => Date.now(),
    onSignal: () => () => {},
    connect: async (url) => createClient(await readSettings(env, url, unprepared)),
    exitCode: 0
  }
  return {
    ended: runCli(args, context).then((code) => ({ code, ...written })),
    says: (text) =>
      new Promise((resolve) => {
        const look = () => (written.out + written.err).includes(text) && resolve()
        waiting.add(look)
        look()
      })
  }
}
const cli = (...args: string[]): Promise<Ended> => start(...args).ended
const failed = (code: string, serving: string, more: object = {}): RunOutcome =>
  runOutcome.parse({
    status: 'failed',
    error: { code, detail: 'it went wrong', step: null, log: ['boom'], ...more },
    serving,
    release: null
  })
const failing =
  (kind: string, outcome: RunOutcome): Behaviour =>
  (command) =>
    command.body.kind === kind ? outcome : obedient(command)
const newest = async (): Promise<string> => {
  const { body } = await controller.ask('GET', '/v1/deployments?limit=1')
  const [{ id } = { id: '' }] = body as unknown as { id: string }[]
  return id
}

t.test('a pause is seen, waited in, and ended by resume', async (t) => {
  await apply('staging', 'web', { deploy: { update_config: { failure_action: 'pause' } } })
  behaviours.set('host-a', failing('release', failed('unhealthy', 'none')))
  const deploying = start('deploy', 'web', '--env', 'staging', '--tag', '1')
  await deploying.says('longshore resume')
  const id = await newest()
  t.match(await cli('status', 'web'), { code: 0, out: new RegExp(id) })
  const resumed = await cli('resume', id, '--output', 'json')
  t.equal(resumed.code, 5, resumed.err)
  t.match(JSON.parse(resumed.out), {
    id,
    outcome: 'mixed',
    targets: [
      { host: 'host-a', state: 'failed' },
      { host: 'host-b', state: 'released' }
    ]
  })
  t.match(await deploying.ended, { code: 5 }, 'whoever waited learns the same')
  t.match(await cli('resume', id), { code: 4, err: /ended/ })
  behaviours.clear()
})

t.test('a release command runs once, and a deployment is refused when it fails', async (t) => {
  await apply('staging', 'api', { 'x-longshore': { release_command: ['migrate', 'up'] } })
  const ran: string[][] = []
  const noting: Behaviour = (command) => {
    if (command.body.kind === 'run-once') ran.push(command.body.command)
    return obedient(command)
  }
  for (const host of ['host-a', 'host-b']) behaviours.set(host, noting)
  const done = await cli('deploy', 'api', '--env', 'staging', '--tag', '1')
  t.equal(done.code, 0, done.err)
  t.same(ran, [['migrate', 'up']])
  const broken = failing('run-once', failed('command-failed', 'old', { exitCode: 3 }))
  for (const host of ['host-a', 'host-b']) behaviours.set(host, broken)
  t.match(await cli('deploy', 'api', '--env', 'staging', '--tag', '2'), {
    code: 4,
    out: /the release command failed on host host-[ab]: it went wrong; .*what the release command did stays/
  })
  behaviours.clear()
})

t.test('promote brings the very image that succeeded, where nothing else may come from', async (t) => {
  await apply('production', 'api')
  t.match(await cli('environments', 'set', 'production', '--promotes-from', 'staging'), { code: 0 })
  t.match(await cli('deploy', 'api', '--env', 'production', '--tag', '9'), {
    code: 4,
    err: /promote/
  })
  const promote = ['promote', 'api', '--from', 'staging', '--to', 'production', '--output', 'json']
  const promoted = await cli(...promote)
  t.equal(promoted.code, 0, promoted.err)
  t.match(JSON.parse(promoted.out), {
    environment: 'production',
    outcome: 'succeeded',
    tag: '1',
    digest: `sha256:${'a'.repeat(64)}`
  })
  t.match(await cli('promote', 'web', '--from', 'staging', '--to', 'production'), { code: 2 })
})

t.test('a deployment does not wait for an agent that is revoked', async (t) => {
  await apply('staging', 'slow')
  const asked = Promise.withResolvers<void>()
  behaviours.set('host-b', (command) => {
    if (command.body.kind !== 'stage') return obedient(command)
    asked.resolve()
    return undefined
  })
  const deploying = start('deploy', 'slow', '--env', 'staging', '--tag', '1')
  await asked.promise
  t.match(await cli('agents', 'revoke', 'host-b'), { code: 0 })
  t.match(await deploying.ended, { code: 4, out: /host host-b: its agent was revoked by admin;/ })
  behaviours.clear()
})
