// `longshore join-token create|list|revoke`: what lets a new host register itself.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseCount, parseDuration, parseLabel } from '../parse-values.ts'
import { createColors } from '../state-colors.ts'

type CreateFlags = {
  url?: string
  env: string
  label?: Record<string, string>
  ttl: number
  uses?: number
  replace: boolean
}
type Flags = { url?: string; output: OutputFormat }

const defaultTtlMs = 3_600_000

export function addJoinToken(program: Command, context: CliContext): void {
  const group = program.command('join-token').description('Tokens that let hosts join an environment.')
  group
    .command('create')
    .description('Makes a join token and prints it alone; it is not shown again.')
    .requiredOption('--env <name>', 'environment that hosts join with it')
    .addOption(
      new Option('--label <k=v>', 'label that such hosts get; may be repeated').argParser(parseLabel)
    )
    .addOption(
      new Option('--ttl <duration>', 'how long it is valid')
        .argParser(parseDuration)
        .default(defaultTtlMs, '1h')
    )
    .addOption(
      new Option('--uses <number>', 'how many hosts may use it (default: any number)').argParser(parseCount)
    )
    .option('--replace', 'a host may take the place of an agent with its name', false)
    .action(async (_own: unknown, self: Command) => {
      const {
        url,
        env: environment,
        label: labels = {},
        ttl: ttlMs,
        uses = null,
        replace
      } = self.optsWithGlobals<CreateFlags>()
      const client = await context.connect(url)
      const { id, token } = await client.createJoinToken({ environment, labels, ttlMs, uses, replace })
      context.stdout.write(`${token}\n`)
      context.stderr.write(`join token ${id} for ${environment}\n`)
    })
  group
    .command('list')
    .description('Lists the join tokens, without their secrets.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const tokens = await (await context.connect(url)).joinTokens()
      const { renderJoinTokens } = await import('../render-lists.ts')
      const colors = createColors(context.stdout.hasColor)
      writeList(context, output, 'join-token', tokens, () =>
        renderJoinTokens(tokens, colors, context.controllerNowMs())
      )
    })
  group
    .command('revoke <id>')
    .description('Makes a join token useless; hosts that joined with it stay.')
    .action(async (id: string, _own: unknown, self: Command) => {
      await (await context.connect(self.optsWithGlobals<Flags>().url)).revokeJoinToken(id)
      context.stderr.write(`join token ${id} is revoked\n`)
    })
}
