// `longshore lock` and `longshore unlock`: a person keeps an environment, or one of its services, as it is.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { formatText } from '../format-values.ts'
import { parseReason } from '../parse-values.ts'

type Flags = { url?: string }
type LockFlags = Flags & { reason: string }

const placeOf = (environment: string, service: string | undefined): string =>
  formatText(service === undefined ? environment : `${service} in ${environment}`)

export function addLock(program: Command, context: CliContext): void {
  program
    .command('lock <environment> [service]')
    .summary('refuse deployments until somebody unlocks')
    .description(
      'Refuses every deployment of an environment, or of one service there, until somebody unlocks it.'
    )
    .addOption(
      new Option('--reason <text>', 'why; shown to whoever is refused')
        .argParser(parseReason)
        .makeOptionMandatory()
    )
    .action(async (environment: string, service: string | undefined, _own: unknown, self: Command) => {
      const { url, reason } = self.optsWithGlobals<LockFlags>()
      const client = await context.connect(url)
      const { inProgress } = await client.freeze(environment, { service: service ?? null, reason })
      context.stderr.write(`${placeOf(environment, service)} is locked: ${reason}\n`)
      for (const id of inProgress) context.stderr.write(`  deployment ${id} had begun and goes on\n`)
    })
}

export function addUnlock(program: Command, context: CliContext): void {
  program
    .command('unlock <environment> [service]')
    .summary('allow deployments again')
    .description('Takes away what `lock` put on an environment, or on one service there.')
    .action(async (environment: string, service: string | undefined, _own: unknown, self: Command) => {
      const { url } = self.optsWithGlobals<Flags>()
      await (await context.connect(url)).unfreeze(environment, { service })
      context.stderr.write(`${placeOf(environment, service)} is unlocked\n`)
    })
}
