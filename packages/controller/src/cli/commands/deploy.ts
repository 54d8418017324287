// `longshore deploy`: brings images to every host of an environment: one service, several, or those of a file.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { DeployAsked, WhatAsked } from '../client.ts'
import { formatText } from '../format-values.ts'
import { parseDigest, parseNames, parseRepeated, parseTags, type Tags } from '../parse-values.ts'
import { readFiles } from '../read-files.ts'
import { addRequestOptions, type RequestFlags } from '../request-options.ts'

type Flags = RequestFlags & {
  env: string
  services?: string[]
  file?: string[]
  tag?: Tags
  digest?: string
  recreate: boolean
  replace?: string
  plan?: boolean
  rehearse?: boolean
}
/** `own`: what the service's file names. */
type Wanted = { service: string; own: WhatAsked | null }

export function addDeploy(program: Command, context: CliContext): void {
  const command = program
    .command('deploy [service]')
    .summary('bring an image to every host of an environment')
    .description('Brings images to every host of an environment, all or nothing, and waits for the end.')
    .requiredOption('--env <name>', 'environment')
    .addOption(
      new Option(
        '--services <names>',
        'several services, separated by commas, in the order in which they switch'
      )
        .argParser(parseNames)
        .conflicts('file')
    )
    .addOption(
      new Option('-f, --file <file>', 'every service of this service file; may be repeated').argParser(
        parseRepeated
      )
    )
    .addOption(
      new Option('--tag <tag>', "tag of the service's image; SERVICE=TAG for one of several; may be repeated")
        .argParser(parseTags)
        .conflicts('digest')
    )
    .addOption(new Option('--digest <digest>', "digest of the service's image").argParser(parseDigest))
    .option('--recreate', 'replace containers that already run exactly this release', false)
    .option('--replace <name>', 'take over this container, which Longshore did not make')
    .addOption(new Option('--plan', 'show what would run; touch nothing').conflicts(['rehearse', 'detach']))
    .addOption(new Option('--rehearse', 'start it for real beside what serves, then remove it again'))
  addRequestOptions(command).action(async (service: string | undefined, _own: unknown, self: Command) => {
    const flags = self.optsWithGlobals<Flags>()
    const body = requestOf(flags, await chooseServices(context, service, flags))
    const { runRequest } = await import('../run-request.ts')
    context.exitCode = await runRequest(context, flags, body)
  })
}

/** @throws CliError usage, file-unreadable, invalid-service-file */
async function chooseServices(
  context: CliContext,
  service: string | undefined,
  { services, file, env, url }: Flags
): Promise<Wanted[]> {
  if ([service, services, file].filter((one) => one !== undefined).length !== 1) {
    throw new CliError('usage', 'which services? Give SERVICE, or --services a,b, or -f FILE')
  }
  if (file === undefined) {
    return (services ?? [service ?? '']).map((name) => ({ service: name, own: null }))
  }
  const files = await readFiles(context, file)
  const { readSpecs } = await import('../read-specs.ts')
  const read = readSpecs(files, env, context.env).services
  const { warnOfDifferences } = await import('../compare-specs.ts')
  await warnOfDifferences(context, url, env, read)
  return read.map(({ service: name, spec: { image } }) => ({
    service: name,
    own:
      image.digest !== null
        ? { by: 'digest', digest: image.digest }
        : image.tag !== null
          ? { by: 'tag', tag: image.tag }
          : null
  }))
}

function requestOf(flags: Flags, wanted: readonly Wanted[]): DeployAsked {
  const { recreate, replace = null, env: environment } = flags
  refuseStrangers(flags.tag ?? {}, wanted)
  const services = wanted.map((one) => ({
    service: one.service,
    what: whatOf(flags, one, wanted.length > 1)
  }))
  const [first] = services
  if (first === undefined) throw new CliError('usage', 'the file has no services')
  return {
    ...first,
    environment,
    mode: flags.plan === true ? 'plan' : flags.rehearse === true ? 'rehearse' : 'deploy',
    ...(services.length > 1 ? { services } : {}),
    recreate,
    replace
  }
}

function whatOf(
  { tag: tags = {}, digest }: Flags,
  { service, own }: Wanted,
  isOneOfSeveral: boolean
): WhatAsked {
  const tag = Object.hasOwn(tags, service) ? tags[service] : tags['']
  if (tag !== undefined) return { by: 'tag', tag }
  if (digest !== undefined) {
    if (!isOneOfSeveral) return { by: 'digest', digest }
    throw new CliError('usage', '--digest is for one service; give --tag SERVICE=TAG for each')
  }
  if (own !== null) return own
  throw new CliError(
    'usage',
    isOneOfSeveral
      ? `which image of ${formatText(service)}? Give --tag TAG or --tag ${formatText(service)}=TAG`
      : 'which image? Give --tag TAG or --digest sha256:...'
  )
}

/** A tag for a service that is not deployed is a mistake in one of the two. */
function refuseStrangers(tags: Tags, wanted: readonly Wanted[]): void {
  const known = new Set(['', ...wanted.map(({ service }) => service)])
  const stranger = Object.keys(tags).find((service) => !known.has(service))
  if (stranger === undefined) return
  throw new CliError(
    'usage',
    `--tag ${formatText(stranger)}=...: ${formatText(stranger)} is not deployed here`
  )
}
