// Which tests need real parts of the machine (root, Docker Engine, registry), and what happens where these are
// missing: under CI=true a failure, on a developer's machine a skip that says what to install.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Test } from 'tap'
import { busyboxPath } from '../../scripts/hosts/web-image.ts'

/** A whole deployment on three engines, on a machine that does other work too. */
const limitMs = 300_000

const isInPath = (program: string): boolean =>
  [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'].some((folder) =>
    existsSync(join(folder, program))
  )

const programs = [
  'dockerd',
  'docker-registry',
  'iptables',
  'ip',
  'nsenter',
  'openssl',
  'skopeo',
  'ruby',
  'rubocop'
]

/** What the machine lacks, in words; empty when nothing. */
export const missingParts = (): string[] => [
  ...(process.getuid?.() === 0 ? [] : ['root']),
  ...programs.filter((name) => !isInPath(name)),
  ...(existsSync(busyboxPath) ? [] : ['busybox-static'])
]

/**
 * A test on real parts.
 * @param options.timeoutMs for this test alone; the file's limit grows with it
 */
export const testOnRealParts = (
  t: Test,
  title: string,
  body: (t: Test) => Promise<void>,
  options: { timeoutMs?: number } = {}
): void => {
  const timeout = options.timeoutMs ?? limitMs
  t.setTimeout(timeout * 10)
  const missing = missingParts()
  if (missing.length === 0) {
    void t.test(title, { timeout }, body)
  } else if (process.env['CI'] === 'true') {
    t.fail(`${title}: missing on this machine: ${missing.join(', ')}`)
  } else {
    t.pass(title, { skip: `needs ${missing.join(', ')}; scripts/setup-tests.sh installs them as root` })
  }
}

/** A test on the real HAProxy; it needs nothing else. */
export const testOnHaproxy = (t: Test, title: string, body: (t: Test) => Promise<void>): void =>
  testOnProgram(t, 'haproxy', title, body)

/** A test on one program of the machine. */
export const testOnProgram = (
  t: Test,
  program: string,
  title: string,
  body: (t: Test) => Promise<void>
): void => {
  if (isInPath(program)) {
    t.setTimeout(limitMs * 10)
    void t.test(title, { timeout: limitMs }, body)
  } else if (process.env['CI'] === 'true') {
    t.fail(`${title}: missing on this machine: ${program}`)
  } else {
    t.pass(title, { skip: `needs ${program}; scripts/setup-tests.sh installs it as root` })
  }
}

/** A folder under /tmp with a short path, deleted at the end of the test. */
export const makeTestFolder = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'lsh-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
