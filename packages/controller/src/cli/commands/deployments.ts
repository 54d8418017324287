// `longshore deployments` and `longshore releases`: what was brought to the hosts, newest first.
import { type Command, Option } from 'commander'
import type { DeploymentView } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import {
  type OutputFormat,
  outputOption,
  refuseFormat,
  titleOf,
  watchOption,
  writeList
} from '../output-format.ts'
import { parseCount } from '../parse-values.ts'
import { createColors } from '../state-colors.ts'

type Flags = {
  url?: string
  env?: string
  service?: string
  limit: number
  watch?: true
  output: OutputFormat
}

const limitOption = (): Option =>
  new Option('--limit <number>', 'at most this many').argParser(parseCount).default(20)

export function addDeployments(program: Command, context: CliContext): void {
  program
    .command('deployments')
    .description('Lists deployments, newest first.')
    .option('--env <name>', 'only this environment')
    .option('--service <name>', 'only this service')
    .addOption(limitOption())
    .addOption(watchOption())
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, env: environment, service, limit, watch, output } = self.optsWithGlobals<Flags>()
      refuseFormat(watch, output)
      const client = await context.connect(url)
      const { deploymentLines, renderDeployments } = await import('../render-lists.ts')
      const colors = createColors(context.stdout.hasColor)
      const render = (shown: readonly DeploymentView[]): string => renderDeployments(shown, colors)
      if (watch === true) {
        const { watchList } = await import('../watch-list.ts')
        return watchList(context, client, {
          title: titleOf('deployments', service, environment),
          load: (from, signal) => from.deployments({ environment, service, limit }, signal),
          render,
          lines: deploymentLines
        })
      }
      const deployments = await client.deployments({ environment, service, limit })
      writeList(context, output, 'deployment', deployments, () => render(deployments))
    })
}

export function addReleases(program: Command, context: CliContext): void {
  program
    .command('releases <service>')
    .description('Lists the releases of a service in an environment, newest first.')
    .requiredOption('--env <name>', 'environment')
    .addOption(limitOption())
    .addOption(outputOption())
    .action(async (service: string, _own: unknown, self: Command) => {
      const { url, env: environment, limit, output } = self.optsWithGlobals<Flags>()
      const releases = await (await context.connect(url)).releases({ environment, service, limit })
      const { renderReleases } = await import('../render-lists.ts')
      const colors = createColors(context.stdout.hasColor)
      writeList(context, output, 'release', releases, () => renderReleases(releases, colors))
    })
}
