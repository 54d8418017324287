// What is said of another version of the agent that cannot serve, by real processes: its own last words, or what Node says
// of an error that it did not catch.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tryProgram } from '../../../packages/agent/src/adapters/try-program.ts'

const folder = t.testdir()
const never = new AbortController().signal
const tryText = (text: string) => {
  const path = join(folder, 'agent.mjs')
  writeFileSync(path, text)
  return tryProgram(path, never)
}

t.test('why a new version cannot serve is said in its own words, or in those of Node', async (t) => {
  const table: [program: string, reason: RegExp][] = [
    ['not javascript {', /cannot serve: SyntaxError: /],
    ['import "./gone.mjs"', /cannot serve: Error \[ERR_MODULE_NOT_FOUND\]: .*gone\.mjs/],
    [
      'console.error("a warning"); throw new TypeError("no such thing", { cause: new Error("deep") })',
      /cannot serve: TypeError: no such thing$/
    ],
    [
      'console.error("Error: early"); console.error("longshore-agent: it is so"); process.exit(1)',
      /it is so$/
    ],
    ['process.exit(3)', /ended without a word \(exit 3\)/],
    ['process.kill(process.pid, "SIGKILL")', /ended without a word \(SIGKILL\)/],
    ['console.log("no answer")', /ended without a word \(exit 0\)/]
  ]
  for (const [program, reason] of table)
    await t.rejects(tryText(program), { code: 'upgrade-failed', message: reason }, program)
})

t.test('one that is answered says its version, as an argument told it that it is tried', async (t) => {
  const text = 'console.log(JSON.stringify({ version: process.argv[2] }))'
  t.equal(await tryText(text), '--candidate')
})
