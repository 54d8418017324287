// The example for GitHub Actions, as far as it can be tried without GitHub: what is refused of a workflow, and the shell text
// that renews a token.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeTestFolder } from '../support/real-parts.ts'

const shipped = readFileSync(new URL('../../deploy/github/deploy.yml', import.meta.url), 'utf8')
/** What stands below a key, without its indentation. */
const below = (text: string, key: RegExp): string => {
  const [, indent = '', content = ''] =
    new RegExp(`^( *)${key.source}\n((?:\\1 +.*\n|\n)*)`, 'm').exec(text) ?? []
  const inner = /^ */.exec(content)?.[0].length ?? indent.length
  return content.replaceAll(new RegExp(`^ {${inner}}`, 'gm'), '')
}
const job = below(shipped, /deploy:/)
const step = job.slice(job.indexOf('- name: deploy')).replace('- ', '  ')
const run = below(step, /run: \|/)

t.test('what is asked of the runner is asked where it is known', async (t) => {
  // github, needs, strategy, matrix, vars, secrets and inputs are all that a job's own env may use
  t.notMatch(below(job, /env:/), /\$\{\{(?!\s*github\.)/)
  t.match(below(step, /env:/), /^LONGSHORE_TOKEN_FILE: .*runner\.temp/m)
  t.match(below(job, /env:/), /^LONGSHORE_URL: /)
})

t.test('a token that cannot be renewed stays, and the first one has to come', async (t) => {
  const folder = makeTestFolder(t)
  const program = (name: string, text: string): void =>
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  program('curl', `test ! -e "${folder}/down" || exit 22\ncat "${folder}/answer"`)
  program('jq', `sed -n 's/.*"value": "\\([^"]*\\)".*/\\1/p' "$3" | grep .`)
  const renewing = run.slice(0, run.indexOf('# GitHub'))
  const file = join(folder, 'token')
  const env = { PATH: `${folder}:${process.env['PATH']}`, LONGSHORE_TOKEN_FILE: file, AUDIENCE: 'ins_1' }
  const tried = (text: string) => spawnSync('bash', ['-e', '-c', text], { env, encoding: 'utf8' })
  writeFileSync(join(folder, 'answer'), '{"value": "first"}')
  t.match(tried(renewing), { status: 0 })
  t.equal(readFileSync(file, 'utf8'), 'first\n')
  for (const answer of ['', '{}', 'down']) {
    writeFileSync(join(folder, answer === 'down' ? 'down' : 'answer'), answer)
    t.not(tried(renewing).status, 0, `nothing is deployed after "${answer}"`)
    t.equal(readFileSync(file, 'utf8'), 'first\n', answer)
  }
  t.match(run, /while sleep \d+; do renew \|\| true; done &/, 'the next try comes')
})
