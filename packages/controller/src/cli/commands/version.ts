// `longshore version`: which version this is, and on request the controller's.
import type { Command } from 'commander'
import manifest from '../../../package.json' with { type: 'json' }
import type { CliContext } from '../cli-context.ts'

type Flags = { url?: string; controller?: boolean }

export function addVersion(program: Command, context: CliContext): void {
  program
    .command('version')
    .description('Prints the version of this command.')
    .option('--controller', "print the controller's version too")
    .action(async (_own: unknown, self: Command) => {
      const { url, controller } = self.optsWithGlobals<Flags>()
      context.stdout.write(`${manifest.version}\n`)
      if (controller !== true) return
      const client = await context.connect(url)
      const { version, installation } = await client.info()
      context.stdout.write(`controller ${version} at ${client.origin}, installation ${installation}\n`)
    })
}
