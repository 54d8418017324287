// `longshore version`: which version this is, and on request the controller's and whom that one takes the caller for.
import type { Command } from 'commander'
import manifest from '../../../package.json' with { type: 'json' }
import type { CliContext } from '../cli-context.ts'

type Flags = { url?: string; controller?: boolean }

export function addVersion(program: Command, context: CliContext): void {
  program
    .command('version')
    .description('Prints the version of this command.')
    .option('--controller', "print the controller's version too, and whom it takes you for")
    .action(async (_own: unknown, self: Command) => {
      const { url, controller } = self.optsWithGlobals<Flags>()
      context.stdout.write(`${manifest.version}\n`)
      if (controller !== true) return
      const client = await context.connect(url)
      const { version, installation, caller } = await client.info()
      context.stdout.write(`controller ${version} at ${client.origin}, installation ${installation}\n`)
      if (caller !== undefined) context.stdout.write(`you are ${caller.name}: ${caller.allow.join(' ')}\n`)
    })
}
