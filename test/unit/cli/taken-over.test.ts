// How `longshore controller start` ends when another controller has taken over: stopped cleanly, said, and with a code
// after which a supervisor starts it again.
import { readFileSync } from 'node:fs'
import t from 'tap'
import type { CliContext, Output } from '../../../packages/controller/src/cli/cli-context.ts'
import { cliErrors } from '../../../packages/controller/src/cli/cli-errors.ts'

t.test('a controller that was taken over stops, says so, and is to be started again', async (t) => {
  const told: string[] = []
  const { runCli } = await t.mockImport<typeof import('../../../packages/controller/src/cli/run-cli.ts')>(
    '../../../packages/controller/src/cli/run-cli.ts',
    {
      '../../../packages/controller/src/main.ts': {
        startController: async () => ({
          url: 'http://127.0.0.1:1',
          lost: Promise.resolve(),
          stop: async () => void told.push('stopped')
        })
      }
    }
  )
  const output: Output = {
    write: (text) => void told.push(text),
    isTerminal: false,
    hasColor: false,
    columns: () => 80,
    rows: () => 24,
    onResize: () => () => {},
    onClosed: () => () => {}
  }
  const unprepared = () => {
    throw new Error('not prepared')
  }
  const context: CliContext = {
    env: {},
    stdout: output,
    stderr: output,
    readStdin: unprepared,
    askLine: unprepared,
    readFile: unprepared,
    nowMs: unprepared,
    controllerNowMs: unprepared,
    onSignal: () => () => {},
    connect: unprepared,
    exitCode: 0
  }
  const code = await runCli(['controller', 'start', '--data', '/data'], context)
  t.equal(code, 7)
  t.equal(code, cliErrors['taken-over'])
  t.match(told, [/^listening/, 'stopped', /another controller has taken over \/data/])
  const unit = readFileSync('deploy/systemd/longshore-controller.service', 'utf8')
  t.match(unit, /^Restart=on-failure$/m)
  t.notMatch(unit, /^RestartPreventExitStatus=.*7/m)
  t.match(readFileSync('docs/controller.md', 'utf8'), /code 7 \(`taken-over`\)/)
})
