// `longshore environments create|list|set|remove`.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'

type SetFlags = Flags & { heal?: 'on' | 'off'; promotesFrom?: string; sources?: string }
type Flags = { url?: string; output: OutputFormat }

export function addEnvironments(program: Command, context: CliContext): void {
  const group = program.command('environments').description('Named sets of hosts.')
  group
    .command('create <name>')
    .description('Makes an environment.')
    .action(async (name: string, _own: unknown, self: Command) => {
      const client = await context.connect(self.optsWithGlobals<Flags>().url)
      const { name: created } = await client.createEnvironment(name)
      context.stdout.write(`${created}\n`)
    })
  group
    .command('list')
    .description('Lists the environments.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const environments = await (await context.connect(url)).environments()
      const { renderEnvironments } = await import('../render-lists.ts')
      writeList(context, output, 'environment', environments, () => renderEnvironments(environments))
    })
  group
    .command('set <name>')
    .description('Changes what an environment does by itself, and where its images come from.')
    .addOption(
      new Option('--heal <on|off>', 'repair hosts that were changed by hand, or only show them').choices([
        'on',
        'off'
      ])
    )
    .option('--promotes-from <environment>', 'take images from there only, by promotion; none: any image')
    .addOption(
      new Option(
        '--sources <list>',
        'where images come from, in order: registry, mirror:HOST[/PREFIX], artifact; default: as without it'
      )
    )
    .addOption(outputOption())
    .action(async (name: string, _own: unknown, self: Command) => {
      const { url, output, heal, promotesFrom, sources } = self.optsWithGlobals<SetFlags>()
      if (heal === undefined && promotesFrom === undefined && sources === undefined)
        throw new CliError('usage', 'nothing to set: give --heal, --promotes-from or --sources')
      const changed = await (await context.connect(url)).setEnvironment(name, {
        ...(heal === undefined ? {} : { heal: heal === 'on' }),
        ...(promotesFrom === undefined
          ? {}
          : { promotesFrom: promotesFrom === 'none' ? null : promotesFrom }),
        ...(sources === undefined ? {} : { sources: readSources(sources) })
      })
      const { renderEnvironments } = await import('../render-lists.ts')
      writeList(context, output, 'environment', [changed], () => renderEnvironments([changed]))
    })
  group
    .command('remove <name>')
    .description('Removes an environment that has neither agents nor services.')
    .action(async (name: string, _own: unknown, self: Command) => {
      const client = await context.connect(self.optsWithGlobals<Flags>().url)
      await client.removeEnvironment(name)
      context.stderr.write(`environment ${name} is removed\n`)
    })
}

/** As people type them: the controller checks them. */
const readSources = (text: string): string[] | null =>
  text === 'default' ? null : text.split(',').map((one) => one.trim())
