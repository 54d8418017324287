// `longshore registry login|list|logout`: with what hosts log in to registries. The password comes from standard
// input or a file, never from the command line, which every user of the machine can read.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { readSecret } from '../read-secret.ts'

type LoginFlags = {
  url?: string
  username?: string
  passwordStdin?: true
  passwordFile?: string
  helper?: string
}
type Flags = { url?: string; output: OutputFormat }

export function addRegistry(program: Command, context: CliContext): void {
  const group = program.command('registry').description('Credentials with which hosts fetch images.')
  group
    .command('login <host>')
    .description('Keeps credentials of a registry, or who is asked for them, in the place of former ones.')
    .option('--username <name>', 'user name at the registry')
    .option('--password-stdin', 'read the password from standard input')
    .option('--password-file <path>', 'read the password from a file')
    .option('--helper <program>', 'docker-credential-NAME in the PATH of the controller, asked for each pull')
    // refused here: commander would write a password that stands there
    .allowExcessArguments()
    .action(async (host: string, _own: unknown, self: Command) => {
      if (self.args.length > 1)
        throw new CliError('usage', 'give the registry alone: a password comes from standard input or a file')
      const flags = self.optsWithGlobals<LoginFlags>()
      const credentials = await readCredentials(context, flags)
      const client = await context.connect(flags.url)
      const view = await client.loginRegistry({ host, ...credentials })
      const how = view.helper === null ? `as ${view.username}` : `with what ${view.helper} says`
      context.stderr.write(`hosts log in to ${view.host} ${how}\n`)
    })
  group
    .command('list')
    .description('Lists registries and user names, without what is secret.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const registries = await (await context.connect(url)).registries()
      const { renderRegistries } = await import('../render-registries.ts')
      writeList(context, output, 'registry', registries, () =>
        renderRegistries(registries, context.controllerNowMs())
      )
    })
  group
    .command('logout <host>')
    .description('Forgets the credentials of a registry.')
    .action(async (host: string, _own: unknown, self: Command) => {
      const { parseRegistryName } = await import('@longshore/protocol')
      // it goes into an address, which those on the way write down; not quoted: some write the password into it
      if (parseRegistryName(host) === undefined)
        throw new CliError('usage', 'that is no registry: expected HOST[:PORT] as images name it')
      await (await context.connect(self.optsWithGlobals<Flags>().url)).logoutRegistry(host)
      context.stderr.write(`the credentials of ${host} are forgotten\n`)
    })
}

async function readCredentials(
  context: CliContext,
  flags: LoginFlags
): Promise<{ username: string; password: string } | { helper: string }> {
  const { username, helper, passwordStdin, passwordFile } = flags
  if (helper === undefined) {
    if (username === undefined) throw new CliError('usage', 'give --username NAME, or --helper PROGRAM')
    const from = { isStdin: passwordStdin === true, file: passwordFile }
    const password = await readSecret(context, { name: 'password', option: '--password', ...from })
    return { username, password }
  }
  if (username === undefined && passwordStdin === undefined && passwordFile === undefined) return { helper }
  throw new CliError('usage', '--helper says user name and password itself: give no other ones')
}
