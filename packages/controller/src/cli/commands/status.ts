// `longshore status`: what runs where, and what differs from the current release.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { createColors } from '../state-colors.ts'

type Flags = { url?: string; env?: string; output: OutputFormat }

export function addStatus(program: Command, context: CliContext): void {
  program
    .command('status [service]')
    .description('Shows what runs where, and what differs from the current release.')
    .option('--env <name>', 'only this environment')
    .addOption(outputOption())
    .action(async (service: string | undefined, _own: unknown, self: Command) => {
      const { url, env: environment, output } = self.optsWithGlobals<Flags>()
      const services = await (await context.connect(url)).status({ environment, service })
      const { renderStatus } = await import('../render-status.ts')
      const colors = createColors(context.stdout.hasColor)
      writeList(context, output, 'status', services, () =>
        renderStatus(services, colors, context.nowMs(), context.stdout.columns())
      )
    })
}
