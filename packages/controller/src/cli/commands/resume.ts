// `longshore resume`: lets a paused deployment go on and waits for its end.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { demandDeploymentId } from '../parse-values.ts'
import { addWaitOptions, type WaitFlags } from '../wait-options.ts'

export function addResume(program: Command, context: CliContext): void {
  const command = program
    .command('resume <id>')
    .summary('let a paused deployment go on')
    .description('Lets a paused deployment go on with the hosts that are left, and waits for the end.')
  addWaitOptions(command).action(async (id: string, _own: unknown, self: Command) => {
    demandDeploymentId(id)
    const { runDeployment } = await import('../run-deployment.ts')
    const asked = { service: null, environment: null }
    const flags = self.optsWithGlobals<WaitFlags>()
    context.exitCode = await runDeployment(context, flags, asked, async (client, { signal }) => {
      await client.resume(id, signal)
      return client.deployment(id, signal)
    })
  })
}
