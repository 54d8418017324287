// `longshore agents` and `agents approve|revoke|remove`: the hosts of the fleet.
import type { Command } from 'commander'
import type { AgentView } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { Client } from '../client.ts'
import { formatText } from '../format-values.ts'
import {
  type OutputFormat,
  outputOption,
  refuseFormat,
  titleOf,
  watchOption,
  writeList
} from '../output-format.ts'
import { createColors } from '../state-colors.ts'
import { addAgentsUpgrade } from './agents-upgrade.ts'

type Flags = { url?: string; env?: string; watch?: true; output: OutputFormat }
type Query = { environment: string | undefined }

export function addAgents(program: Command, context: CliContext): void {
  const group = program
    .command('agents')
    .description('Lists the agents: which are connected, silent, held or revoked.')
    .option('--env <name>', 'only this environment')
    .addOption(watchOption())
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      refuseArguments(self)
      const { url, env: environment, watch, output } = self.optsWithGlobals<Flags>()
      refuseFormat(watch, output)
      const client = await context.connect(url)
      const { agentLines, renderAgents } = await import('../render-lists.ts')
      const colors = createColors(context.stdout.hasColor)
      const render = (agents: readonly AgentView[]): string =>
        renderAgents(agents, colors, context.controllerNowMs())
      if (watch === true) {
        const { watchList } = await import('../watch-list.ts')
        return watchList(context, client, {
          title: titleOf('agents', undefined, environment),
          load: (from, signal) => from.agents({ environment }, signal),
          render,
          lines: agentLines
        })
      }
      const agents = await client.agents({ environment })
      writeList(context, output, 'agent', agents, () => render(agents))
    })
  addAgentsUpgrade(group, context)
  addChange(group, context, 'approve', 'Lets a held agent in.', 'is approved', (client, name, query) =>
    client.changeAgent('approve', name, query)
  )
  addChange(
    group,
    context,
    'revoke',
    'Shuts an agent out; its containers keep running.',
    'is revoked',
    (client, name, query) => client.changeAgent('revoke', name, query)
  )
  addChange(
    group,
    context,
    'remove',
    'Forgets an agent that is revoked or gone.',
    'is removed',
    (client, name, query) => client.removeAgent(name, query)
  )
  // last: commands take it over from their group, and would drop the second of two names without a word
  group.allowExcessArguments()
}

/** A group that does something by itself gets a mistyped subcommand as an argument. */
function refuseArguments({ args, commands }: Command): void {
  const [word] = args
  if (word === undefined) return
  const names = commands.map((command) => command.name()).join(', ')
  throw new CliError('usage', `agents has no command ${formatText(word)}; did you mean one of ${names}?`)
}

function addChange(
  group: Command,
  context: CliContext,
  verb: string,
  description: string,
  done: string,
  change: (client: Client, name: string, query: Query) => Promise<void>
): void {
  group
    .command(`${verb} <name>`)
    .description(description)
    .option('--env <name>', 'environment, when several have an agent of this name')
    .action(async (name: string, _own: unknown, self: Command) => {
      const { url, env: environment } = self.optsWithGlobals<Flags>()
      await change(await context.connect(url), name, { environment })
      context.stderr.write(`agent ${name} ${done}\n`)
    })
}
