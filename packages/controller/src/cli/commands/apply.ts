// `longshore apply`: service files become spec revisions. Everything is read and checked, and every change is
// asked for as a dry run, before the first one is made: a mistake in the last environment changes nothing in the first.
import type { Command } from 'commander'
import { Option } from 'commander'
import type { ApplyAnswer } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { Client } from '../client.ts'
import { type OutputFormat, outputOption } from '../output-format.ts'
import { parseRepeated } from '../parse-values.ts'
import { readFiles } from '../read-files.ts'
import type { ServiceFile } from '../service-file.ts'

type Flags = {
  url?: string
  file: string[]
  env?: string[]
  allEnvs?: boolean
  dryRun: boolean
  output: OutputFormat
}
type Wanted = { environment: string; service: string; spec: unknown }

export function addApply(program: Command, context: CliContext): void {
  program
    .command('apply')
    .summary('store what services are')
    .description(
      'Stores services from Compose files as new spec revisions and shows the difference. Deploys nothing.'
    )
    .addOption(
      new Option(
        '-f, --file <file>',
        'service file, - for standard input; may be repeated, later files override'
      )
        .argParser(parseRepeated)
        .makeOptionMandatory()
    )
    .addOption(new Option('--env <name>', 'environment; may be repeated').argParser(parseRepeated))
    .addOption(new Option('--all-envs', 'every environment that the controller has').conflicts('env'))
    .option('--dry-run', 'show the difference and change nothing', false)
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const flags = self.optsWithGlobals<Flags>()
      if (flags.allEnvs !== true && flags.env === undefined) {
        throw new CliError('usage', 'to which environment? Give --env NAME or --all-envs')
      }
      const files = await readFiles(context, flags.file)
      // mistakes in the files come first, whoever the controller would be
      const known = flags.env && (await readWanted(context, files, flags.env))
      const client = await context.connect(flags.url)
      const wanted = known ?? (await readWanted(context, files, await namesOf(client)))
      await applyAll(context, client, wanted, flags)
    })
}

const namesOf = async (client: Client): Promise<string[]> =>
  (await client.environments()).map(({ name }) => name)

async function readWanted(
  context: CliContext,
  files: readonly ServiceFile[],
  environments: readonly string[]
): Promise<Wanted[]> {
  const { readSpecs } = await import('../read-specs.ts')
  const wanted: Wanted[] = []
  const notices = new Set<string>()
  for (const environment of new Set(environments)) {
    const read = readSpecs(files, environment, context.env)
    for (const notice of read.notices) notices.add(notice)
    wanted.push(...read.services.map(({ service, spec }) => ({ environment, service, spec })))
  }
  for (const notice of notices) context.stderr.write(`notice: ${notice}\n`)
  return wanted
}

async function applyAll(
  context: CliContext,
  client: Client,
  wanted: readonly Wanted[],
  flags: Flags
): Promise<void> {
  const put = ({ environment, service, spec }: Wanted, dryRun: boolean): Promise<ApplyAnswer> =>
    client.applySpec(environment, service, { spec, dryRun })
  const planned: { want: Wanted; answer: ApplyAnswer }[] = []
  for (const want of wanted) planned.push({ want, answer: await put(want, true) })
  const answers: ApplyAnswer[] = []
  const { renderChanges } = await import('../render-changes.ts')
  const { createColors } = await import('../state-colors.ts')
  const colors = createColors(context.stdout.hasColor)
  const at = new Date(context.nowMs()).toISOString()
  for (const { want, answer: plan } of planned) {
    const answer = flags.dryRun || !plan.isChanged ? plan : await put(want, false)
    answers.push(answer)
    // written one by one: if the next one fails, what was applied has been said
    if (flags.output === 'text') context.stdout.write(renderChanges(answer, flags.dryRun, colors))
    if (flags.output === 'ndjson')
      context.stdout.write(`${JSON.stringify({ type: 'apply', at, ...answer })}\n`)
  }
  if (flags.output === 'json') context.stdout.write(`${JSON.stringify(answers, null, 2)}\n`)
}
