// `longshore cancel`: cancels a deployment and waits until its hosts are back.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { ProblemError } from '../cli-errors.ts'
import { demandDeploymentId } from '../parse-values.ts'
import { addWaitOptions, type WaitFlags } from '../wait-options.ts'

export function addCancel(program: Command, context: CliContext): void {
  const command = program
    .command('cancel <id>')
    .summary('cancel a deployment')
    .description('Cancels a deployment and waits until what had switched is back.')
  addWaitOptions(command).action(async (id: string, _own: unknown, self: Command) => {
    demandDeploymentId(id)
    const { runDeployment } = await import('../run-deployment.ts')
    const asked = { service: null, environment: null }
    const flags = self.optsWithGlobals<WaitFlags>()
    context.exitCode = await runDeployment(context, flags, asked, async (client, { signal, remark }) => {
      await client.cancel(id, signal).catch((error: unknown) => {
        // too late: it has an outcome, and that is what this command then tells
        if (!(error instanceof ProblemError) || error.problem.code !== 'already-ended') throw error
        remark(error.message)
      })
      return client.deployment(id, signal)
    })
  })
}
