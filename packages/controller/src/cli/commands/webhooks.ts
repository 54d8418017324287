// `longshore webhooks create|list|test|remove`: whom the controller tells of deployments and lost hosts.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseRepeated } from '../parse-values.ts'
import { createColors } from '../state-colors.ts'

type CreateFlags = {
  url?: string
  name: string
  to: string
  format: 'standard' | 'slack'
  env?: string[]
  event?: string[]
}
type Flags = { url?: string; output: OutputFormat }

export function addWebhooks(program: Command, context: CliContext): void {
  const group = program
    .command('webhooks')
    .description('Receivers that are told of deployments and lost hosts.')
  group
    .command('create')
    .description('Makes a webhook and prints its signing secret alone; it is not shown again.')
    .requiredOption('--name <name>', 'by which it is listed, tested and removed')
    .requiredOption('--to <url>', 'where to send to; - reads it from standard input, for it may be a secret')
    .addOption(
      new Option('--format <format>', 'signed JSON, or the text of a chat')
        .choices(['standard', 'slack'])
        .default('standard')
    )
    .addOption(
      new Option('--env <name>', 'only of this environment; may be repeated (default: all)').argParser(
        parseRepeated
      )
    )
    .addOption(
      new Option('--event <type>', 'only of this type; may be repeated (default: all)').argParser(
        parseRepeated
      )
    )
    .action(async (_own: unknown, self: Command) => create(context, self.optsWithGlobals<CreateFlags>()))
  group
    .command('list')
    .description('Lists the webhooks and how the last try of each ended.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const webhooks = await (await context.connect(url)).webhooks()
      const { renderWebhooks } = await import('../render-webhooks.ts')
      const colors = createColors(context.stdout.hasColor)
      writeList(context, output, 'webhook', webhooks, () =>
        renderWebhooks(webhooks, colors, context.controllerNowMs())
      )
    })
  group
    .command('test <webhook>')
    .description('Sends `webhook.test` to it and says how it answered.')
    .action(async (webhook: string, _own: unknown, self: Command) => {
      const client = await context.connect(self.optsWithGlobals<Flags>().url)
      const { name, detail } = await client.testWebhook(webhook)
      context.stderr.write(`webhook ${name} took the test: ${detail}\n`)
    })
  group
    .command('remove <webhook>')
    .description('Removes a webhook; what it was still owed is not sent.')
    .action(async (webhook: string, _own: unknown, self: Command) => {
      await (await context.connect(self.optsWithGlobals<Flags>().url)).removeWebhook(webhook)
      context.stderr.write(`webhook ${webhook} is removed\n`)
    })
}

async function create(context: CliContext, flags: CreateFlags): Promise<void> {
  const { name, format, env: environments = [], event: events = [] } = flags
  const url = flags.to === '-' ? (await context.readStdin()).trim() : flags.to
  const client = await context.connect(flags.url)
  const { id, secret } = await client.createWebhook({ name, url, format, environments, events })
  if (secret !== null) context.stdout.write(`${secret}\n`)
  context.stderr.write(`webhook ${id} (${name})\n`)
}
