// One command of the CLI in the test's own process: everything that it may ask of the world is refused unless the test
// prepared it.
import type { CliContext, Output } from '../../packages/controller/src/cli/cli-context.ts'
import type { Client } from '../../packages/controller/src/cli/client.ts'
import { createProgram } from '../../packages/controller/src/cli/program.ts'
import { runCli } from '../../packages/controller/src/cli/run-cli.ts'

export const refuse = (): never => {
  throw new Error('not prepared')
}
export const nowMs = Date.parse('2026-01-02T03:04:05Z')

type Prepared = Partial<Pick<CliContext, 'readStdin' | 'readFile' | 'onSignal' | 'controllerNowMs'>>
type Written = { out: string; err: string }

/** Outputs that are no terminal. @param client has only what is given */
const contextOf = (client: object, prepared: Prepared): { context: CliContext; written: Written } => {
  const written = { out: '', err: '' }
  const output = (to: 'out' | 'err'): Output => ({
    write: (text) => {
      written[to] += text
    },
    isTerminal: false,
    hasColor: false,
    columns: refuse,
    rows: refuse,
    onResize: refuse,
    onClosed: () => () => undefined
  })
  const context: CliContext = {
    env: {},
    stdout: output('out'),
    stderr: output('err'),
    readStdin: refuse,
    askLine: refuse,
    readFile: refuse,
    nowMs: () => nowMs,
    controllerNowMs: () => nowMs,
    onSignal: refuse,
    connect: async () => client as Client,
    exitCode: 0,
    ...prepared
  }
  return { context, written }
}

/** Rejects with what the command throws. */
export const runCommandOf = async (
  client: object,
  args: readonly string[],
  prepared: Prepared = {}
): Promise<Written> => {
  const { context, written } = contextOf(client, prepared)
  await createProgram(context).parseAsync(args, { from: 'user' })
  return written
}

/** As a user has it: failures are words and an exit code. */
export const endCommandOf = async (
  client: object,
  args: readonly string[]
): Promise<Written & { exitCode: number }> => {
  const { context, written } = contextOf(client, {})
  return { exitCode: await runCli(args, context), ...written }
}
