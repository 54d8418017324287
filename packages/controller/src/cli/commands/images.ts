// `longshore images`: which images of releases each host holds.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'

type Flags = { url?: string; env?: string; output: OutputFormat }

export function addImages(program: Command, context: CliContext): void {
  program
    .command('images [service]')
    .description('Shows which images of releases each host holds, and the room on its disk.')
    .option('--env <name>', 'only this environment')
    .addOption(outputOption())
    .action(async (service: string | undefined, _own: unknown, self: Command) => {
      const { url, env: environment, output } = self.optsWithGlobals<Flags>()
      const hosts = await (await context.connect(url)).images({ environment, service })
      const { renderImages } = await import('../render-images.ts')
      writeList(context, output, 'images', hosts, () => renderImages(hosts))
    })
}
