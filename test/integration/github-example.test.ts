// The example for GitHub Actions, as far as it can be tried without GitHub: what is refused of a workflow, and the shell text
// that renews a token.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { makeTestFolder } from '../support/real-parts.ts'

type Step = { run?: string; env?: Record<string, string> }
type Workflow = { jobs: { deploy: { env: Record<string, string>; steps: Step[] } } }

const shipped = readFileSync(new URL('../../deploy/github/deploy.yml', import.meta.url), 'utf8')
const { env: jobEnv, steps } = (parse(shipped) as Workflow).jobs.deploy
const [{ run = '', env: stepEnv } = {}] = steps

t.test('what is asked of the runner is asked where it is known', async (t) => {
  // github, needs, strategy, matrix, vars, secrets and inputs are all that a job's own env may use
  t.notMatch(JSON.stringify(jobEnv), /\$\{\{(?!\s*github\.)/)
  t.match(stepEnv, { LONGSHORE_TOKEN_FILE: /runner\.temp/ })
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
