// `deploy -f`: the file names services and images only, what runs is stored. Says where the two differ, by name and
// never by value; nothing here decides whether the deployment is asked for.
import type { ServiceSpec } from '@longshore/protocol'
import { diffSpecs } from '@longshore/protocol/spec'
import { hideSpecValues } from '../api/hidden-values.ts'
import type { CliContext } from './cli-context.ts'
import { CliError, ProblemError } from './cli-errors.ts'
import type { Client } from './client.ts'
import { formatText } from './format-values.ts'

type Read = { service: string; spec: ServiceSpec }

/** The deployment names its image itself. */
const imagePaths = ['image.tag', 'image.digest']
const maxNamed = 5

export async function warnOfDifferences(
  context: CliContext,
  url: string | undefined,
  environment: string,
  services: readonly Read[]
): Promise<void> {
  for (const line of await describeAll(context, url, environment, services)) context.stderr.write(`${line}\n`)
}

/** What keeps the question from being asked keeps the deployment too, which says so. */
async function describeAll(
  context: CliContext,
  url: string | undefined,
  environment: string,
  services: readonly Read[]
): Promise<string[]> {
  try {
    const client = await context.connect(url)
    return (await Promise.all(services.map((one) => describeOne(client, environment, one)))).flat()
  } catch (error) {
    if (error instanceof CliError) return []
    throw error
  }
}

async function describeOne(client: Client, environment: string, read: Read): Promise<string[]> {
  const name = `${formatText(read.service)} in ${formatText(environment)}`
  try {
    const { revision, spec, isHidden } = await client.spec(environment, read.service)
    const own = isHidden ? hideSpecValues(read.spec) : read.spec
    const paths = diffSpecs(spec, own).flatMap(({ path }) => (imagePaths.includes(path) ? [] : path))
    if (paths.length === 0) return []
    return [
      `warning: the file differs from what is stored for ${name} (revision ${revision}): ${namesOf(paths)}`,
      '  what is stored is deployed; to store the file: longshore apply'
    ]
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error
    if (error.problem.status === 404) return []
    return [
      `warning: whether the file is what is stored for ${name} is not known: ${formatText(error.message)}`
    ]
  }
}

const namesOf = (paths: readonly string[]): string => {
  const named = paths.slice(0, maxNamed).map((path) => formatText(path))
  return [...named, ...(paths.length > maxNamed ? [`and ${paths.length - maxNamed} more`] : [])].join(', ')
}
