// Service files as specs for one environment, with this machine's variables. Reading, merging and checking is the
// protocol package's; this gives it the files and turns its findings into an error of the CLI.
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { ServiceSpec } from '@longshore/protocol'
import { readServiceFiles, SpecError } from '@longshore/protocol/spec'
import { CliError } from './cli-errors.ts'
import type { Environment } from './read-settings.ts'

export type ServiceFile = { name: string; text: string }
export type ReadSpecs = { services: { service: string; spec: ServiceSpec }[]; notices: readonly string[] }

/** @throws CliError invalid-service-file with one hint per problem: file, line, path, nearest key */
export function readSpecs(files: readonly ServiceFile[], environment: string, env: Environment): ReadSpecs {
  const variables = { ...definedOf(env), LONGSHORE_ENVIRONMENT: environment }
  try {
    const read = readServiceFiles([...files], {
      environment: variables,
      readEnvFile: (path: string) => readFileSync(resolve(path), 'utf8')
    })
    return read
  } catch (cause) {
    if (!(cause instanceof SpecError)) throw cause
    throw new CliError(
      'invalid-service-file',
      `the service file is not valid for ${environment}`,
      [cause.message],
      {
        cause
      }
    )
  }
}

const definedOf = (env: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  )
