// `longshore rollback`: back to the last good release, or to a numbered one.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { parseCount } from '../parse-values.ts'
import type { WaitFlags } from '../run-deployment.ts'
import { addWaitOptions } from '../wait-options.ts'

type Flags = WaitFlags & { env: string; release?: number; detach?: boolean; offline: 'fail' | 'skip' }

export function addRollback(program: Command, context: CliContext): void {
  const command = program
    .command('rollback <service>')
    .summary('go back to a former release')
    .description(
      'Goes back to the last good release before the current one, or to a numbered one, and waits.'
    )
    .requiredOption('--env <name>', 'environment')
    .addOption(new Option('--release <number>', 'release to go back to').argParser(parseCount))
    .addOption(new Option('--wait', 'wait for the end (the default)').conflicts('detach'))
    .addOption(new Option('--detach', 'print the id once accepted and end'))
    .addOption(
      new Option('--offline <action>', 'what to do about hosts that are not connected')
        .choices(['fail', 'skip'])
        .default('fail')
    )
  addWaitOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const { env: environment, release = null, offline } = flags
    const what = { by: 'rollback' as const, release }
    const body = { service, environment, what, offline, recreate: false, replace: null }
    const { beginDeployment, runDeployment } = await import('../run-deployment.ts')
    const run = flags.detach === true ? beginDeployment : runDeployment
    context.exitCode = await run(context, flags, { service, environment }, (client, signal) =>
      client.deploy(body, signal)
    )
  })
}
