// `longshore status`: what runs where, and what differs from the current release.
import type { Command } from 'commander'
import type { StatusView } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import {
  type OutputFormat,
  outputOption,
  refuseFormat,
  titleOf,
  watchOption,
  writeList
} from '../output-format.ts'
import { createColors } from '../state-colors.ts'

type Flags = { url?: string; env?: string; watch?: true; output: OutputFormat }

export function addStatus(program: Command, context: CliContext): void {
  program
    .command('status [service]')
    .description('Shows what runs where, and what differs from the current release.')
    .option('--env <name>', 'only this environment')
    .addOption(watchOption())
    .addOption(outputOption())
    .action(async (service: string | undefined, _own: unknown, self: Command) => {
      const { url, env: environment, watch, output } = self.optsWithGlobals<Flags>()
      refuseFormat(watch, output)
      const client = await context.connect(url)
      const { renderStatus, statusLines } = await import('../render-status.ts')
      const colors = createColors(context.stdout.hasColor)
      const render = (services: readonly StatusView[]): string =>
        renderStatus(services, colors, context.controllerNowMs(), context.stdout.columns())
      if (watch === true) {
        const { watchList } = await import('../watch-list.ts')
        return watchList(context, client, {
          title: titleOf('status', service, environment),
          load: (from, signal) => from.status({ environment, service }, signal),
          render,
          lines: statusLines
        })
      }
      const services = await client.status({ environment, service })
      writeList(context, output, 'status', services, () => render(services))
    })
}
