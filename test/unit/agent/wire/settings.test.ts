import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunReport } from '@longshore/protocol'
import t from 'tap'
import { lockDataDir } from '../../../../packages/agent/src/adapters/data-lock.ts'
import { readJoinToken } from '../../../../packages/agent/src/adapters/join-token.ts'
import { openKeys, prepareDataDir, readIdentity } from '../../../../packages/agent/src/adapters/key-files.ts'
import { findOwnContainer } from '../../../../packages/agent/src/adapters/own-container.ts'
import { controllerTimeAt } from '../../../../packages/agent/src/core/controller-time.ts'
import { dueReports, maxReportsUnderWay } from '../../../../packages/agent/src/core/due-reports.ts'
import { adviseSession, judgeEnrolRefusal } from '../../../../packages/agent/src/core/judge-refusal.ts'
import { exitCodes } from '../../../../packages/agent/src/exit-codes.ts'
import {
  describeUsage,
  optionOf,
  readInvocation,
  SettingsError,
  settingNames
} from '../../../../packages/agent/src/settings.ts'

const host = { name: 'host-1', homeDir: '/root' }
const problemsOf = (args: string[], environment: Record<string, string> = {}): readonly string[] => {
  try {
    readInvocation(args, environment, host)
    return []
  } catch (error) {
    if (error instanceof SettingsError) return error.problems
    throw error
  }
}
const url = ['--controller-url', 'https://longshore.example']

t.test('health is asked with the data directory alone', async (t) => {
  const environment = { LONGSHORE_DATA_DIR: '/d', LONGSHORE_LABELS: 'no label' }
  t.same(readInvocation(['--health'], environment, host), { kind: 'health', dataDir: '/d' })
  t.same(problemsOf([...url, '--health']), ['--health: there is no such option; see --help'])
})

t.test('the container that the agent runs in is known by what Docker mounts into it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const id = '0123456789abcdef'.repeat(4)
  const line = (path: string, place: string) => `1 2 8:1 ${path} ${place} rw,relatime - ext4 /dev/sda1 rw\n`
  const found = (...lines: string[]) => {
    writeFileSync(join(folder, 'mountinfo'), lines.join(''))
    return findOwnContainer(join(folder, 'mountinfo'))
  }
  const root = line('/', '/')
  t.equal(found(root, line(`/var/lib/docker/containers/${id}/hostname`, '/etc/hostname')), id)
  t.equal(found(root), null)
  t.equal(found(line(`/var/lib/docker/containers/${id}/hostname`, '/look-at-it')), null, 'that of another')
  t.equal(findOwnContainer(join(folder, 'missing')), null)
})

t.test('an option wins over its variable, and both spell one setting', async (t) => {
  const read = readInvocation(
    [...url, '--labels=zone=a,rack=1'],
    { LONGSHORE_CONTROLLER_URL: 'https://other', LONGSHORE_DATA_DIR: '/d', LONGSHORE_CA_FILE: '' },
    host
  )
  t.match(read, {
    kind: 'run',
    settings: { dataDir: '/d', labels: { zone: 'a', rack: '1' }, hostName: 'host-1', caFile: null }
  })
  t.equal(read.kind === 'run' && read.settings.controllerUrl.href, 'https://longshore.example/')
})

t.test('every problem is named with its setting', async (t) => {
  t.match(problemsOf([]), [/^LONGSHORE_CONTROLLER_URL: is not set/])
  t.match(problemsOf(url, { LONGSHORE_LABELS: 'a', LONGSHORE_LOG_LEVEL: 'loud', DOCKER_HOST: 'ssh://h' }), [
    /^LONGSHORE_LABELS: "a" is not/,
    /^LONGSHORE_LOG_LEVEL: must be one of/,
    /^DOCKER_HOST: must be unix/
  ])
  t.match(problemsOf([...url, '--no-such', '--data-dir']), [
    /^--no-such: there is no such/,
    /^--data-dir: needs/
  ])
  t.match(problemsOf([...url, '--join-token=a', '--join-token-file=/f']), [/not both/])
})

t.test('the join token is the credential of systemd where no setting says another', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'agent-wire-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const tokenOf = (args: string[], environment: Record<string, string>): Promise<string> => {
    const read = readInvocation([...url, ...args], environment, host)
    if (read.kind !== 'run') throw new Error('not to be run')
    return readJoinToken(read.settings)
  }
  const given = { CREDENTIALS_DIRECTORY: folder }
  const none = { code: 'settings', message: /has no join token/ }
  await t.rejects(tokenOf([], {}), none)
  await t.rejects(tokenOf([], given), none, 'the unit may load none')
  // what the unit sets where the file is gone
  writeFileSync(join(folder, 'join-token'), '\n')
  await t.rejects(tokenOf([], given), none)
  writeFileSync(join(folder, 'join-token'), 'abc\n')
  t.equal(await tokenOf([], given), 'abc')
  t.equal(await tokenOf(['--join-token=def'], given), 'def')
  await t.rejects(tokenOf(['--join-token-file', join(folder, 'other')], given), { message: /cannot be read/ })
})

t.test('who runs HAProxy has a default, and a wrong word is named', async (t) => {
  const read = readInvocation([...url, '--data-dir', '/d', '--proxy=container'], {}, host)
  t.match(read, { settings: { proxyMode: 'container', proxyImage: 'haproxy:2.6', hostDataDir: '/d' } })
  t.match(
    problemsOf(url, {
      LONGSHORE_PROXY: 'docker',
      LONGSHORE_PROXY_IMAGE: 'a b',
      LONGSHORE_HOST_DATA_DIR: 'd'
    }),
    [
      /^LONGSHORE_PROXY: must be one of process, unit, container/,
      /^LONGSHORE_PROXY_IMAGE: must be the name of an image/,
      /^LONGSHORE_HOST_DATA_DIR: must be an absolute path/
    ]
  )
})

t.test('--deregister is something to do, with the same settings', async (t) => {
  const read = readInvocation([...url, '--deregister', '--data-dir=/d'], {}, host)
  t.match(read, { kind: 'deregister', settings: { dataDir: '/d' } })
  t.match(problemsOf(['--deregister']), [/^LONGSHORE_CONTROLLER_URL: is not set/])
})

t.test('a stray argument is not repeated: it may be a token', async (t) => {
  t.notMatch(problemsOf([...url, 'secret-token']).join(), /secret-token/)
})

t.test('http is refused unless it stays on the machine or is allowed', async (t) => {
  for (const open of ['http://localhost', 'http://127.0.0.9:1', 'http://[::1]:1', 'https://h', 'wss://h']) {
    t.same(problemsOf(['--controller-url', open]), [], open)
  }
  for (const shut of ['http://h', 'ws://10.0.0.1', 'http://127.0.0.1.example']) {
    t.match(problemsOf(['--controller-url', shut]), [/is not encrypted/], shut)
    t.same(problemsOf(['--controller-url', shut, '--allow-plaintext']), [])
  }
  t.match(problemsOf(['--controller-url', 'https://u:p@h']), [/must not hold a user name/])
})

t.test('docs, help and systemd unit name what the code has, and nothing else', async (t) => {
  const docs = readFileSync('docs/agent.md', 'utf8')
  const rows = [...docs.matchAll(/^\| `([A-Z_]+)` \| `(--[a-z-]+)` \|/gm)].map((row) => [row[1], row[2]])
  t.same(
    rows,
    settingNames.map((name) => [name, optionOf(name)])
  )
  for (const name of settingNames) t.match(describeUsage(), `${name}: `)
  const codes = [...docs.matchAll(/^\| (\d+) \| ([a-z-]+) \| ([^|]+) \| (yes|no)/gm)].map((row) =>
    row.slice(1, 5)
  )
  t.same(
    codes,
    Object.entries(exitCodes).map(([name, { code, meaning, isRestartUseful }]) => [
      String(code),
      name,
      meaning,
      isRestartUseful ? 'yes' : 'no'
    ])
  )
  const unit = readFileSync('deploy/systemd/longshore-agent.service', 'utf8')
  const prevented = Object.values(exitCodes).filter(
    ({ code, isRestartUseful }) => code !== 0 && !isRestartUseful
  )
  t.match(unit, `\nRestartPreventExitStatus=${prevented.map(({ code }) => code).join(' ')}\n`)
})

t.test('keys are made once, for the owner alone, and a file that others may read is refused', async (t) => {
  const dir = join(mkdtempSync(join(tmpdir(), 'agent-wire-')), 'data')
  t.teardown(() => rmSync(join(dir, '..'), { recursive: true }))
  await prepareDataDir(dir)
  t.equal(statSync(dir).mode & 0o777, 0o700)
  const made = await openKeys(dir)
  for (const name of ['identity-key.json', 'encryption-key.json']) {
    t.equal(statSync(join(dir, name)).mode & 0o777, 0o600)
    t.notOk(existsSync(join(dir, `${name}.new`)))
  }
  const again = await openKeys(dir)
  t.equal(again.signing.kid, made.signing.kid)
  t.same(again.encryption, made.encryption)
  t.notOk('d' in made.encryption)
  t.equal(await readIdentity(dir), null)
  const { chmodSync, writeFileSync } = await import('node:fs')
  writeFileSync(join(dir, 'identity.json'), '{', { mode: 0o600 })
  await t.rejects(readIdentity(dir), { code: 'data-directory', message: /is damaged/ })
  chmodSync(join(dir, 'identity-key.json'), 0o644)
  await t.rejects(openKeys(dir), { code: 'data-directory', message: /other users may read it/ })
})

t.test('a second agent on one data directory is told so, until the first has ended', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'agent-wire-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const release = lockDataDir(dir)
  t.throws(() => lockDataDir(dir), { code: 'locked', exitCode: 75 })
  t.equal(statSync(join(dir, 'agent.lock')).mode & 0o777, 0o600)
  release()
  lockDataDir(dir)()
})

t.test('a refusal ends the agent only where asking again cannot help', async (t) => {
  t.equal(judgeEnrolRefusal('expired').kind, 'give-up')
  t.equal(judgeEnrolRefusal('rate-limited').kind, 'try-again')
  t.equal(judgeEnrolRefusal(null).kind, 'try-again')
  t.equal(adviseSession('held', 'web-1'), 'waiting for approval: longshore agents approve web-1')
  t.equal(adviseSession('lost', 'web-1'), undefined)
})

t.test('the oldest reports go first, and again when they are old', async (t) => {
  const reports = Array.from(
    { length: maxReportsUnderWay + 1 },
    (_, index) => ({ number: index + 1 }) as RunReport
  )
  t.same(dueReports(reports, new Map(), 0), reports.slice(0, maxReportsUnderWay))
  const sent = new Map([
    [1, 0],
    [2, 5_000]
  ])
  t.same(
    dueReports(reports.slice(0, 3), sent, 10_000).map((report) => report.number),
    [1, 3]
  )
})

t.test("the controller's time goes on with the monotonic clock", async (t) => {
  t.equal(controllerTimeAt({ controllerMs: 1_000_000, monotonicMs: 50 }, 1_050.4), 1_001_000)
})
