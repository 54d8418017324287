// The pure parts of the CLI, and docs/cli.md against the program.
import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import t from 'tap'
import { apiErrors } from '../../../packages/controller/src/api/errors.ts'
import type { DeploymentEvent } from '../../../packages/controller/src/api/schemas.ts'
import type { CliContext, Output } from '../../../packages/controller/src/cli/cli-context.ts'
import {
  CliError,
  cliErrors,
  exitCodeOfError,
  isPassing
} from '../../../packages/controller/src/cli/cli-errors.ts'
import {
  exitCodeOfOutcome,
  exitCodeOfProblem,
  exitCodes
} from '../../../packages/controller/src/cli/exit-codes.ts'
import {
  formatBytes,
  formatDuration,
  formatText,
  shorten
} from '../../../packages/controller/src/cli/format-values.ts'
import { upOver } from '../../../packages/controller/src/cli/live-screen.ts'
import {
  parseDuration,
  parseLabel,
  parseListen,
  parseWait
} from '../../../packages/controller/src/cli/parse-values.ts'
import { createProgram } from '../../../packages/controller/src/cli/program.ts'
import { emptyStream, readChunk } from '../../../packages/controller/src/cli/read-event-stream.ts'
import { readSettings } from '../../../packages/controller/src/cli/read-settings.ts'
import { renderChanges } from '../../../packages/controller/src/cli/render-changes.ts'
import { renderFrame } from '../../../packages/controller/src/cli/render-live.ts'
import { emptyPlain, renderPlain } from '../../../packages/controller/src/cli/render-plain.ts'
import { renderResult } from '../../../packages/controller/src/cli/render-result.ts'
import { createColors } from '../../../packages/controller/src/cli/state-colors.ts'
import { runCommandOf } from '../../support/cli-unit.ts'
import { at, deployment, endedAs, deploymentNumber as id, target } from '../../support/controller-stand-in.ts'

const refuse = (): never => {
  throw new Error('not prepared')
}
const noOutput: Output = {
  write: refuse,
  isTerminal: false,
  hasColor: false,
  columns: refuse,
  rows: refuse,
  onResize: refuse,
  onClosed: refuse
}
const context: CliContext = {
  env: {},
  stdout: noOutput,
  stderr: noOutput,
  readStdin: refuse,
  askLine: refuse,
  readFile: refuse,
  nowMs: refuse,
  controllerNowMs: refuse,
  onSignal: refuse,
  connect: refuse,
  exitCode: 0
}
const plain = createColors(false)

t.test('every outcome and every refusal has its exit code', async (t) => {
  t.same(
    (['succeeded', 'reverted', 'refused', 'mixed', 'cancelled', 'unknown'] as const).map(exitCodeOfOutcome),
    [0, 1, 4, 5, 6, 7]
  )
  const byCode = (exit: number): string[] =>
    Object.entries(apiErrors).flatMap(([code, { status }]) =>
      exitCodeOfProblem({ code, status }) === exit ? [code] : []
    )
  t.same(byCode(2), [
    'invalid-request',
    'unknown-environment',
    'unknown-service',
    'unknown-agent',
    'unknown-deployment',
    'unknown-release',
    'unknown-token',
    'unknown-webhook',
    'unknown-registry',
    'unknown-issuer',
    'unknown-route',
    'idempotency-conflict',
    'too-large'
  ])
  t.same(byCode(3), ['unauthenticated', 'forbidden', 'claims-refused', 'rate-limited', 'issuer-unavailable'])
  t.same(byCode(4), [
    'already-exists',
    'in-use',
    'locked',
    'frozen',
    'promotion-required',
    'not-promotable',
    'not-good',
    'no-targets',
    'no-agent-connected',
    'already-ended',
    'not-paused',
    'nothing-to-roll-back-to',
    'wrong-state',
    'webhook-failed',
    'helper-failed',
    'storage-full'
  ])
  t.same(byCode(7), ['internal', 'stopping'])
  const newer = [400, 401, 403, 404, 409, 500].map((status) => exitCodeOfProblem({ code: 'newer', status }))
  t.same(newer, [2, 3, 3, 2, 4, 7], 'a code that is not known yet follows its status')
  t.equal(exitCodeOfError(new Error('a defect')), 7)
  t.ok(isPassing(new CliError('connection-lost', '')))
  t.notOk(isPassing(new CliError('usage', '')))
})

t.test('values are read strictly and shown shortly', async (t) => {
  t.same(['500ms', '90s', '1h30m', '7d'].map(parseDuration), [500, 90_000, 5_400_000, 604_800_000])
  for (const wrong of ['', '5', '0s', '-1m', '1 h', '1x']) t.throws(() => parseDuration(wrong), wrong)
  t.throws(() => parseWait('25d'), 'longer than a timer can be')
  t.same(parseLabel('b=2=3', { a: '1' }), { a: '1', b: '2=3' })
  t.throws(() => parseLabel('a=2', { a: '1' }), /twice/)
  t.equal(parseListen('[::1]:7300'), '[::1]:7300')
  for (const wrong of ['7300', 'a:70000', 'a b:1']) t.throws(() => parseListen(wrong), wrong)
  const durations = [-5, 420, 12_000, 185_000, 7_800_000, 273_600_000].map(formatDuration)
  t.same(durations, ['0s', '0.4s', '12s', '3m 05s', '2h 10m', '3d 4h'])
  t.same([0, 999, 1000, 12_345_678, 999_900_000].map(formatBytes), [
    '0 B',
    '999 B',
    '1.0 kB',
    '12.3 MB',
    '1.0 GB'
  ])
  t.equal(
    formatText('a\u001b[2Jb\u202ec\u2028d\n'),
    'a [2Jb c d',
    'controls of a host do not reach the terminal'
  )
  t.equal(shorten('abcdef', 4), 'abc…')
})

t.test('events are put together from any pieces', async (t) => {
  const bytes = ': open\r\n\r\nid: 1\ndata: {"a":\ndata: 1}\n\ndata: 2\n\ndata: 3'
  for (let size = 1; size <= bytes.length; size += 1) {
    let state = emptyStream
    const events: string[] = []
    for (let from = 0; from < bytes.length; from += size) {
      const read = readChunk(state, bytes.slice(from, from + size))
      state = read.state
      events.push(...read.events)
    }
    t.same(events, ['{"a":\n1}', '2'], `pieces of ${String(size)}`)
  }
  t.throws(() => readChunk(emptyStream, 'x'.repeat(17_000_000)), RangeError)
})

t.test('settings are refused when they would be unsafe or unclear', async (t) => {
  const read = (env: Record<string, string>, url?: string) =>
    readSettings(env, url, async () => ' from-file\n')
  t.match(await read({ LONGSHORE_TOKEN_FILE: '/t' }), { token: 'from-file', ca: null })
  t.equal((await read({ LONGSHORE_TOKEN: 'x', LONGSHORE_URL: '' })).url.href, 'http://127.0.0.1:7300/')
  t.equal((await read({ LONGSHORE_TOKEN: 'x' }, 'https://c.example')).url.host, 'c.example')
  await t.rejects(read({}), { code: 'token-missing' })
  await t.rejects(read({ LONGSHORE_TOKEN: 'a b' }), { code: 'token-missing' })
  await t.rejects(read({ LONGSHORE_TOKEN: 'x', LONGSHORE_TOKEN_FILE: '/t' }), { code: 'usage' })
  await t.rejects(read({ LONGSHORE_TOKEN: 'x' }, 'http://127.example.org'), { code: 'plaintext-refused' })
  await t.resolves(read({ LONGSHORE_TOKEN: 'x', LONGSHORE_ALLOW_PLAINTEXT: '1' }, 'http://10.0.0.1:1'))
  await t.rejects(read({ LONGSHORE_TOKEN: 'x' }, 'https://user:pw@c.example'), { code: 'usage' })
})

t.test('a log has one line per change, and bytes at most every ten seconds', async (t) => {
  const hosts = [target('a'), target('b')]
  const pull = (done: number): DeploymentEvent => ({
    type: 'progress',
    at,
    id,
    host: 'a',
    progress: { step: 'pull', position: 2, total: 5, bytes: { done, total: 100_000 } }
  })
  const events: [DeploymentEvent, number][] = [
    [{ type: 'deployment', at, deployment: deployment({ phase: 'staging', targets: hosts }) }, 0],
    [{ type: 'target', at, id, target: target('a', { state: 'staging' }) }, 1],
    [pull(0), 2],
    [pull(10_000), 5_000],
    [pull(20_000), 10_002],
    [{ type: 'phase', at, id, phase: 'rolling', batch: 1 }, 11_000],
    [
      { type: 'target', at, id, target: target('b', { state: 'failed', reason: 'it\u001b[0m exited' }) },
      12_000
    ],
    [{ type: 'warning', at, id, text: 'careful' }, 13_000],
    [{ type: 'ended', at, deployment: endedAs('mixed', hosts) }, 14_000]
  ]
  let state = emptyPlain
  const lines = events.flatMap(([event, nowMs]) => {
    const rendered = renderPlain(state, event, nowMs)
    state = rendered.state
    return rendered.lines
  })
  t.same(lines.slice(0, 8), [
    `web in staging: 1.2.3 as release 8, deployment ${id}`,
    'staging',
    'a: staging',
    'a: step 2 of 5, pull, 0 B of 100 kB',
    'a: step 2 of 5, pull, 20.0 kB of 100 kB',
    'rolling, batch 1',
    'b: failed: it [0m exited',
    'warning: careful'
  ])
})

t.test('a frame fits the terminal and shows the hosts that need eyes', async (t) => {
  const targets = [
    target('a', { state: 'released', batch: 1 }),
    target('bb', { state: 'failed', batch: 2, reason: 'port 80 is taken by a container of somebody else' }),
    target('c', { batch: 2 })
  ]
  const picture = {
    deployment: deployment({ phase: 'rolling', targets }),
    batch: 2,
    rolling: 'web',
    output: null
  }
  const options = { nowMs: Date.parse(at) + 65_000, tick: 0, colors: plain, isUnicode: false, notice: null }
  t.same(renderFrame(picture, { ...options, columns: 60, rows: 10 }), [
    'web in staging: 1.2.3 as release 8  rolling, batch 2, 1 of…',
    '  a     + released  ',
    '  bb    x failed      port 80 is taken by a container of s…',
    '  c     . pending   '
  ])
  const small = renderFrame(picture, { ...options, columns: 20, rows: 3 })
  t.equal(small.length, 3)
  t.match(small[1], /bb/)
  t.match(small[2], /and 2 more/)
  t.ok(small.every((line) => line.length < 20))
  t.equal(upOver(['x'.repeat(50), ''], 20), '\u001b[4A\r', 'a narrower terminal has wrapped the line')
})

t.test('the final text names every host, its reason and its log', async (t) => {
  const failed = target('b', { state: 'failed', reason: 'exited', log: ['boom\u0007'] })
  const out = renderResult(endedAs('reverted', [target('a', { state: 'reverted' }), failed]), plain)
  t.equal(
    out,
    `reverted: web in staging, release 8 (1.2.3), deployment ${id}, 42s
it was reverted

HOST  STATE     SERVING  REASON
a     reverted  old
b     failed    old      exited

last lines of the container on b:
  | boom
`
  )
})

t.test('the difference of a spec is shown in full', async (t) => {
  const changes = [
    { path: 'environment.A', before: undefined, after: 'x' },
    { path: 'image.tag', before: '1', after: null },
    { path: 'replicas', before: 1, after: 2 }
  ]
  const answer = { service: 'web', environment: 'staging', revision: 4, isChanged: true, changes }
  t.equal(
    renderChanges(answer as Parameters<typeof renderChanges>[0], false, plain),
    'web in staging: applied as revision 4\n  + environment.A: "x"\n  - image.tag: "1"\n  ~ replicas: 1 -> 2\n'
  )
})

t.test('a new service is shown value by value, without what is empty or off', async (t) => {
  const changes = [
    { path: 'capAdd', after: [] },
    { path: 'environment', after: { NODE_ENV: 'production', EMPTY: '' } },
    { path: 'image', after: { repository: 'web', tag: null, digest: null } },
    { path: 'isPrivileged', after: false },
    { path: 'ports', after: [{ target: 80 }] },
    { path: 'sysctls', after: {} }
  ]
  const answer = { service: 'web', environment: 'staging', revision: 1, isChanged: true, changes }
  t.equal(
    renderChanges(answer as Parameters<typeof renderChanges>[0], false, plain),
    [
      'web in staging: new, applied as revision 1',
      '  + environment.NODE_ENV: "production"',
      '  + environment.EMPTY: ""',
      '  + image.repository: "web"',
      '  + ports: [{"target":80}]',
      ''
    ].join('\n')
  )
  const planned = { ...answer, revision: 0 } as Parameters<typeof renderChanges>[0]
  t.match(renderChanges(planned, true, plain), /^web in staging: would be new\n/)
})

t.test('docs/cli.md and the program have the same commands, options and codes', async (t) => {
  const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
  const documented = page
    .split('\n### ')
    .slice(1)
    .map((part) => ({
      usage: /^`([^`]+)`/.exec(part)?.[1],
      // a bar inside of a table's cell is escaped
      options: [...part.matchAll(/^\| `(-[^`]+)` \|/gm)].map((match) => match[1]?.replaceAll('\\|', '|'))
    }))
  t.same(documented, leavesOf(createProgram(context), 'longshore'))
  for (const [code, exit] of Object.entries(cliErrors))
    t.ok(page.includes(`| \`${code}\` | ${String(exit)} |`), code)
  const codes = [...page.matchAll(/^\| (\d) \|/gm)].map((match) => Number(match[1]))
  t.same(codes, Object.values(exitCodes))
})

t.test('a command takes no more words than it has a use for', async (t) => {
  for (const words of [
    ['agents', 'upgrade', 'host-a', '--env', 'test', '--to', 'agent:2'],
    ['agents', 'approve', 'host-a', 'host-b'],
    ['agents', 'revoke', 'host-a', 'host-b'],
    ['agents', 'remove', 'host-a', 'host-b'],
    ['environments', 'remove', 'test', 'staging']
  ])
    await t.rejects(runCommandOf({}, words), { code: 'commander.excessArguments' }, words.join(' '))
  await t.rejects(runCommandOf({}, ['agents', 'list']), /agents has no command list/)
})

type Leaf = { usage: string; options: string[] }

/** Commands that do something, in their order, a group that does something itself before its own. */
function leavesOf(command: Command, path: string): Leaf[] {
  return command.commands.flatMap((child) => {
    const name = `${path} ${child.name()}`
    const args = child.registeredArguments.map((argument) =>
      argument.required ? ` <${argument.name()}>` : ` [${argument.name()}]`
    )
    const leaf = { usage: name + args.join(''), options: child.options.map((option) => option.flags) }
    const isGroup = child.commands.length > 0 && child.options.length === 0
    return [...(isGroup ? [] : [leaf]), ...leavesOf(child, name)]
  })
}
