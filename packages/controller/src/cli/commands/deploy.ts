// `longshore deploy`: brings an image to every host of an environment.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { DeployAsked } from '../client.ts'
import { parseDigest, parseTag } from '../parse-values.ts'
import type { WaitFlags } from '../run-deployment.ts'
import { addWaitOptions } from '../wait-options.ts'

type Flags = WaitFlags & {
  env: string
  tag?: string
  digest?: string
  detach?: boolean
  offline: 'fail' | 'skip'
  recreate: boolean
  replace?: string
}

export function addDeploy(program: Command, context: CliContext): void {
  const command = program
    .command('deploy <service>')
    .summary('bring an image to every host of an environment')
    .description('Brings an image to every host of an environment and waits for the end.')
    .requiredOption('--env <name>', 'environment')
    .addOption(
      new Option('--tag <tag>', "tag of the service's image").argParser(parseTag).conflicts('digest')
    )
    .addOption(new Option('--digest <digest>', "digest of the service's image").argParser(parseDigest))
    .addOption(new Option('--wait', 'wait for the end (the default)').conflicts('detach'))
    .addOption(new Option('--detach', 'print the id once accepted and end'))
    .addOption(
      new Option('--offline <action>', 'what to do about hosts that are not connected')
        .choices(['fail', 'skip'])
        .default('fail')
    )
    .option('--recreate', 'replace containers that already run exactly this release', false)
    .option('--replace <name>', 'take over this container, which Longshore did not make')
  addWaitOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const body = requestOf(service, flags)
    const asked = { service, environment: flags.env }
    const { beginDeployment, runDeployment } = await import('../run-deployment.ts')
    const run = flags.detach === true ? beginDeployment : runDeployment
    context.exitCode = await run(context, flags, asked, (client, signal) => client.deploy(body, signal))
  })
}

function requestOf(service: string, flags: Flags): DeployAsked {
  const { recreate, offline, replace = null, env: environment, tag, digest } = flags
  const common = { service, environment, recreate, offline, replace }
  if (tag !== undefined) return { ...common, what: { by: 'tag', tag } }
  if (digest !== undefined) return { ...common, what: { by: 'digest', digest } }
  throw new CliError('usage', 'which image? Give --tag TAG or --digest sha256:...')
}
