// The real `longshore` process against a controller's stand-in: what each command asks for, the stream that scripts
// read, and the question that removing asks.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { readServiceFiles } from '@longshore/protocol/spec'
import t from 'tap'
import { cliMain, environmentFor, run, withStandIn } from '../support/cli-process.ts'
import {
  at,
  deployment,
  endedAs,
  deploymentNumber as id,
  json,
  openEvents,
  type StandIn,
  sendEvent
} from '../support/controller-stand-in.ts'

t.setTimeout(120_000)

const ending = (standIn: StandIn): void =>
  standIn.on(`GET /v1/deployments/${id}/events`, (response) => {
    openEvents(response)
    response.write(`data: {"type":"weather","at":"${at}","sky":{"is":"grey"}}\n\n`)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('succeeded') })
    response.end()
  })
const bodies = (standIn: StandIn): unknown[] =>
  standIn.asked.filter(({ method }) => method === 'POST').map(({ body }) => body)

t.test('every command that begins a deployment asks for its own kind', async (t) => {
  const standIn = await withStandIn(t)
  ending(standIn)
  const dir = t.testdir({
    'fleet.yaml': `services:\n  web:\n    image: r.example/web:1\n  api:\n    image: r.example/api:\${API_TAG}\n`
  })
  const file = join(dir, 'fleet.yaml')
  const env = ['--env', 'staging']
  const cases: [string[], object][] = [
    [
      ['promote', 'web', '--from', 'wip', '--to', 'staging'],
      { service: 'web', what: { by: 'promote', from: 'wip' } }
    ],
    [['restart', 'web', ...env], { what: { by: 'current' }, recreate: true }],
    [
      ['remove', 'web', ...env, '--yes', '--offline', 'skip'],
      { what: { by: 'nothing' }, mode: 'remove', offline: 'skip' }
    ],
    [['deploy', 'web', ...env, '--tag', '1', '--plan'], { mode: 'plan', idempotencyKey: null }],
    [
      ['deploy', 'web', ...env, '--tag', '1', '--rehearse', '--reason', 'why not'],
      { mode: 'rehearse', reason: 'why not' }
    ],
    [['deploy', 'web', ...env, '--tag', '1', '--idempotency-key', 'mine'], { idempotencyKey: 'mine' }],
    [['deploy', 'web', ...env, '--tag', '1', '--no-idempotency-key'], { idempotencyKey: null }],
    [['deploy', 'web', ...env, '--tag', '4'], { build: 'build-1' }],
    [['deploy', 'web', ...env, '--tag', '5', '--build', 'mine'], { build: 'mine' }],
    [['deploy', 'web', ...env, '--tag', '6', '--no-build'], { build: undefined }],
    [
      ['deploy', '-f', file, ...env, '--tag', 'web=3'],
      {
        service: 'web',
        services: [
          { service: 'web', what: { by: 'tag', tag: '3' } },
          { service: 'api', what: { by: 'tag', tag: '2' } }
        ]
      }
    ]
  ]
  const ended = await Promise.all(
    cases.map(([args]) => run(standIn.url, args, { BUILD_TAG: 'build-1', API_TAG: '2' }).ended)
  )
  t.same(
    ended.map(({ code }) => code),
    cases.map(() => 0),
    ended.map(({ err }) => err).join()
  )
  const asked = bodies(standIn) as { idempotencyKey: string | null }[]
  for (const [args, body] of cases) {
    const found = asked.filter((one) => matches(one, body))
    t.ok(found.length > 0, args.join(' '))
  }
})

/** Every field that is named is there, as it is. */
const matches = (found: object, wanted: object): boolean =>
  Object.entries(wanted).every(
    ([key, value]) => JSON.stringify(Reflect.get(found, key)) === JSON.stringify(value)
  )

t.test('says where the file that names the services differs from what is stored', async (t) => {
  const standIn = await withStandIn(t)
  ending(standIn)
  const source = (tag: string, more: string) =>
    `services:\n  web:\n    image: r.example/web:${tag}\n    environment: {SECRET: hush}\n${more}`
  const { services } = readServiceFiles([{ name: 'stored.yaml', text: source('1', '') }], {
    environment: {},
    readEnvFile: () => ''
  })
  const stored = { service: 'web', environment: 'staging', revision: 3, appliedAtMs: 0, appliedBy: 'ops' }
  standIn.on('GET /v1/environments/staging/services/web/spec', (response) =>
    json(response, 200, { ...stored, spec: Object.values(services)[0] })
  )
  const dir = t.testdir({
    'same.yaml': source('2', ''),
    'other.yaml': source('2', '    user: nobody\n').replace('hush', 'loud')
  })
  const deploy = (file: string) =>
    run(standIn.url, ['deploy', '-f', join(dir, file), '--env', 'staging']).ended
  const same = await deploy('same.yaml')
  t.equal(same.code, 0, same.err)
  t.notMatch(same.err, /warning/)
  const other = await deploy('other.yaml')
  t.equal(other.code, 0)
  t.match(other.err, /warning: the file differs .* web in staging \(revision 3\): environment.SECRET, user/)
  t.notMatch(other.err, /hush|loud/, 'values may be secrets')
  standIn.on('GET /v1/environments/staging/services/web/spec', (response) =>
    json(response, 403, {
      type: 'about:blank',
      title: 'x',
      status: 403,
      code: 'forbidden',
      detail: 'no read'
    })
  )
  const unknown = await deploy('same.yaml')
  t.match(unknown, { code: 0, err: /stored for web in staging is not known: no read/ })
})

t.test('what does not go together is refused before anything is asked', async (t) => {
  const standIn = await withStandIn(t)
  const env = ['--env', 'staging']
  const cases: [string[], RegExp][] = [
    [['deploy', ...env, '--tag', '1'], /which services/],
    [['deploy', 'web', '--services', 'api', ...env, '--tag', '1'], /which services/],
    [['deploy', '--services', 'web,api', ...env, '--tag', 'web=1'], /which image of api/],
    [['deploy', 'web', ...env, '--tag', 'api=1'], /api is not deployed here/],
    [['deploy', '--services', 'web,api', ...env, '--digest', `sha256:${'a'.repeat(64)}`], /for one service/],
    [['deploy', 'web', ...env, '--tag', '1', '--plan', '--rehearse'], /cannot be used with/],
    [['deploy', 'web', ...env, '--tag', '1', '--detach', '--junit', 'x.xml'], /cannot be used with/],
    [['lock', 'staging'], /--reason/]
  ]
  const ended = await Promise.all(cases.map(([args]) => run(standIn.url, args).ended))
  for (const [index, [args, says]] of cases.entries())
    t.match(ended[index], { code: 2, out: '', err: says }, args.join(' '))
  t.same(standIn.asked, [])
})

t.test('resume waits for the end; lock and unlock name what they are for', async (t) => {
  const standIn = await withStandIn(t)
  ending(standIn)
  standIn.on(`POST /v1/deployments/${id}/resume`, (response) => json(response, 202, deployment()))
  standIn.on(`GET /v1/deployments/${id}`, (response) => json(response, 200, deployment({ phase: 'rolling' })))
  standIn.on(
    'DELETE /v1/environments/staging/freeze?service=web',
    (response) => void response.writeHead(204).end()
  )
  t.match(await run(standIn.url, ['resume', id]).ended, { code: 0, out: /^succeeded/ })
  const unlocked = await run(standIn.url, ['unlock', 'staging', 'web']).ended
  t.match(unlocked, { code: 0, err: 'web in staging is unlocked\n' })
  t.same(standIn.unprepared, [])
})

t.test('ndjson passes on what this version does not know', async (t) => {
  const standIn = await withStandIn(t)
  ending(standIn)
  const args = ['deploy', 'web', '--env', 'staging', '--tag', '1', '--output', 'ndjson']
  const { code, out } = await run(standIn.url, args).ended
  t.equal(code, 0)
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(
    lines.map(({ type }) => type),
    ['deployment', 'weather', 'ended', 'result']
  )
  t.same(lines[1], { type: 'weather', at, sky: { is: 'grey' } })
})

t.test('on a terminal, removing asks for the name of the service', async (t) => {
  const standIn = await withStandIn(t)
  ending(standIn)
  const answered = async (answer: string): Promise<{ code: number; out: string }> => {
    const command = `exec '${process.execPath}' '${cliMain}' remove web --env staging`
    const child = spawn('script', ['-qefc', command, '/dev/null'], { env: environmentFor(standIn.url) })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => {
      const wasAsked = out.includes('Type the name')
      out += chunk.toString()
      if (!wasAsked && out.includes('Type the name')) child.stdin.write(`${answer}\n`)
    })
    const [code] = await once(child, 'close')
    return { code, out }
  }
  t.match(await answered('wbe'), { code: 2, out: /not confirmed; nothing was removed/ })
  t.same(standIn.asked, [])
  t.match(await answered('web'), { code: 0, out: /succeeded/ })
  t.match(bodies(standIn), [{ mode: 'remove' }])
})
