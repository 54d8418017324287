// `longshore agents upgrade`: brings another version of the agent to the hosts of an environment, in batches.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { DeployAsked } from '../client.ts'
import { parseCount, parseRepeated } from '../parse-values.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & { env?: string; to: string; parallelism: number; host?: string[] }

export function addAgentsUpgrade(group: Command, context: CliContext): void {
  const command = group
    .command('upgrade')
    .summary('bring another version of the agent to the hosts')
    .description('Brings another version of the agent to the hosts of an environment, in batches, and waits.')
    .requiredOption('--to <image>', 'image of the agent, with a tag or a digest')
    .option('--env <name>', 'environment (required)')
    .option('--host <name>', 'only this host; may be repeated', parseRepeated)
    .option('--parallelism <count>', 'so many hosts at a time', parseCount, 1)
  addRequestOptions(command).action(async (_own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const body = await requestOf(flags)
    const { runRequest } = await import('../run-request.ts')
    context.exitCode = await runRequest(context, flags, body)
  })
}

/** @throws CliError usage */
async function requestOf({ env, to, parallelism, host }: Flags): Promise<DeployAsked> {
  // the group has an option of this name too, which takes its value
  if (env === undefined) throw new CliError('usage', 'which environment? Give --env NAME')
  const { parseImage } = await import('@longshore/protocol/spec')
  const { repository, tag, digest } = readImage(parseImage, to)
  const { agentService } = await import('@longshore/protocol')
  return {
    service: agentService,
    environment: env,
    mode: 'upgrade',
    what: digest === null ? { by: 'tag', tag: tag ?? 'latest' } : { by: 'digest', digest },
    upgrade: {
      repository,
      parallelism: { unit: 'count', value: parallelism },
      ...(host !== undefined && { hosts: host as never })
    }
  }
}

function readImage<T>(parse: (text: string) => T, text: string): T {
  try {
    return parse(text)
  } catch (error) {
    throw new CliError('usage', `--to: ${error instanceof Error ? error.message : 'no image'}`)
  }
}
