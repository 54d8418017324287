// Credential helpers as real programs: what they are asked, how long they may take, and that nothing of what they write
// is told when they fail.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createCredentialHelper } from '../../../../packages/controller/src/adapters/helpers/ask-helper.ts'
import { waitUntil } from '../../../support/wait.ts'

const folder = mkdtempSync(join(tmpdir(), 'longshore-helpers-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const environment = { PATH: `${folder}:${process.env['PATH']}` }
const server = 'registry.example.com'

const make = (name: string, script: string): string => {
  const program = `docker-credential-${name}`
  writeFileSync(join(folder, program), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, program), 0o755)
  return program
}
const answer = (secret: string): string => `echo '{"ServerURL":"x","Username":"AWS","Secret":"${secret}"}'`

t.test('a helper gets its verb as the argument and the server on standard input', async (t) => {
  const program = make('good', `read -r asked\n[ "$1 $asked" = "get ${server}" ] && ${answer('token')}`)
  const helper = createCredentialHelper(environment)
  t.same(await helper.get(program, server), { username: 'AWS', password: 'token' })
  const deaf = make('deaf', answer('token'))
  t.match(await helper.get(deaf, server), { password: 'token' }, 'one that does not read')
})

t.test('a helper that fails is told without what it wrote', async (t) => {
  const helper = createCredentialHelper(environment)
  const cases = [
    [make('failing', 'echo for-hosts-alone; echo for-hosts-alone >&2; exit 3'), /failed for .*exit code 3/],
    [make('empty', "echo 'credentials not found in native keychain'; exit 1"), /has no credentials of/],
    [make('chatty', 'echo token for-hosts-alone'), /did not answer with credentials/],
    [make('half', `echo '{"Username":"for-hosts-alone"}'`), /did not answer with credentials/],
    [
      make('endless', 'while :; do echo for-hosts-alone for-hosts-alone for-hosts-alone; done'),
      /more than credentials/
    ],
    ['docker-credential-nowhere', /not in the controller's PATH/]
  ] as const
  for (const [program, message] of cases) {
    const error: unknown = await helper.get(program, server).then(
      () => undefined,
      (reason: unknown) => reason
    )
    t.match(error, { name: 'HelperError', message }, program)
    t.notMatch(
      String(error instanceof Error ? [error.stack, error.cause] : error),
      'for-hosts-alone',
      program
    )
  }
})

t.test('a helper that hangs is ended in time, with what it started', async (t) => {
  const trace = join(folder, 'group')
  const program = make('hanging', `echo $$ >${trace}\nsleep 60 &\nwait`)
  const helper = createCredentialHelper(environment, 500)
  await t.rejects(helper.get(program, server), { message: /did not answer for .* within 500 ms/ })
  const group = Number(readFileSync(trace, 'utf8'))
  t.ok(group > 1)
  await waitUntil('its child to be gone too', async () => !isAlive(group))
})

/** Whether any process of the group is left. */
const isAlive = (group: number): boolean => {
  try {
    return process.kill(-group, 0)
  } catch {
    return false
  }
}
