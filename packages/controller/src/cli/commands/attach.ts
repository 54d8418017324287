// `longshore attach`: waits for a deployment that somebody else, or an earlier command, began.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { demandDeploymentId } from '../parse-values.ts'
import { addWaitOptions, type WaitFlags } from '../wait-options.ts'

export function addAttach(program: Command, context: CliContext): void {
  const command = program
    .command('attach <id>')
    .summary('wait for a deployment again')
    .description('Waits for a deployment and ends exactly as the command that began it would have.')
  addWaitOptions(command).action(async (id: string, _own: unknown, self: Command) => {
    demandDeploymentId(id)
    const { runDeployment } = await import('../run-deployment.ts')
    const asked = { service: null, environment: null }
    const flags = self.optsWithGlobals<WaitFlags>()
    context.exitCode = await runDeployment(context, flags, asked, (client, { signal }) =>
      client.deployment(id, signal)
    )
  })
}
