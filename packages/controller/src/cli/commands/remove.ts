// `longshore remove`: a service leaves every host of an environment. Asks first: nothing brings the containers back.
import type { Command } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { formatText } from '../format-values.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & { env: string; yes: boolean }

export function addRemove(program: Command, context: CliContext): void {
  const command = program
    .command('remove <service>')
    .summary('take a service off every host of an environment')
    .description('Stops and removes a service on every host of an environment, and waits.')
    .requiredOption('--env <name>', 'environment')
    .option('--yes', 'do not ask; needed where nobody can be asked', false)
  addRequestOptions(command).action(async (service: string, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    if (!flags.yes) await confirm(context, service, flags.env)
    const wanted = {
      service,
      environment: flags.env,
      mode: 'remove' as const,
      what: { by: 'nothing' as const }
    }
    const { runRequest } = await import('../run-request.ts')
    context.exitCode = await runRequest(context, flags, wanted)
  })
}

/** @throws CliError usage: not confirmed; nothing was asked of the controller */
async function confirm(context: CliContext, service: string, environment: string): Promise<void> {
  const place = formatText(`${service} from every host of ${environment}`)
  const answer = await context.askLine(`This removes ${place}. Type the name of the service to go on: `)
  if (answer === service) return
  throw new CliError(
    'usage',
    answer === null
      ? `removing ${place} has to be confirmed: add --yes`
      : 'not confirmed; nothing was removed'
  )
}
