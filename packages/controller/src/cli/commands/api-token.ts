// `longshore api-token create|list|revoke`: what lets a pipeline or a person use the API.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseDuration, parseRepeated } from '../parse-values.ts'
import { createColors } from '../state-colors.ts'

type CreateFlags = { url?: string; name: string; allow: string[]; ttl?: number }
type Flags = { url?: string; output: OutputFormat }

export function addApiToken(program: Command, context: CliContext): void {
  const group = program.command('api-token').description('Tokens for the API.')
  group
    .command('create')
    .description('Makes an API token and prints it alone; it is not shown again.')
    .requiredOption('--name <name>', 'who will use it; shown in lists and in the audit')
    .addOption(
      new Option('--allow <permission>', 'VERB:ENV/SERVICE, each part may be *; may be repeated')
        .argParser(parseRepeated)
        .makeOptionMandatory()
    )
    .addOption(
      new Option('--ttl <duration>', 'how long it is valid (default: until revoked)').argParser(parseDuration)
    )
    .action(async (_own: unknown, self: Command) => {
      const { url, name, allow, ttl: ttlMs = null } = self.optsWithGlobals<CreateFlags>()
      const client = await context.connect(url)
      const { id, token } = await client.createApiToken({ name, allow, ttlMs })
      context.stdout.write(`${token}\n`)
      context.stderr.write(`API token ${id} (${name})\n`)
    })
  group
    .command('list')
    .description('Lists the API tokens, without their secrets.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const tokens = await (await context.connect(url)).apiTokens()
      const { renderApiTokens } = await import('../render-lists.ts')
      const colors = createColors(context.stdout.hasColor)
      writeList(context, output, 'api-token', tokens, () =>
        renderApiTokens(tokens, colors, context.controllerNowMs())
      )
    })
  group
    .command('revoke <id>')
    .description('Makes an API token useless at once.')
    .action(async (id: string, _own: unknown, self: Command) => {
      await (await context.connect(self.optsWithGlobals<Flags>().url)).revokeApiToken(id)
      context.stderr.write(`API token ${id} is revoked\n`)
    })
}
