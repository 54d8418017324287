// `longshore environments create|list|remove`.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'

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
    .command('remove <name>')
    .description('Removes an environment that has neither agents nor services.')
    .action(async (name: string, _own: unknown, self: Command) => {
      const client = await context.connect(self.optsWithGlobals<Flags>().url)
      await client.removeEnvironment(name)
      context.stderr.write(`environment ${name} is removed\n`)
    })
}
