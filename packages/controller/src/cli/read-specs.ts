// Service files as specs for one environment, with this machine's variables. Reading, merging and checking is the
// protocol package's; this gives it the files and turns its findings into an error of the CLI.
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { ServiceSpec } from '@longshore/protocol'
import { describeProblem, readServiceFiles, SpecError } from '@longshore/protocol/spec'
import { CliError } from './cli-errors.ts'
import type { Environment } from './read-settings.ts'
import { type ServiceFile, stdinName } from './service-file.ts'

export type ReadSpecs = { services: { service: string; spec: ServiceSpec }[]; notices: readonly string[] }

/** @throws CliError invalid-service-file: every problem with file, line, path and nearest key */
export function readSpecs(files: readonly ServiceFile[], environment: string, env: Environment): ReadSpecs {
  const folder = folderOf(files)
  try {
    const { services, notices } = readServiceFiles(files, {
      environment: { ...definedOf(env), LONGSHORE_ENVIRONMENT: environment },
      readEnvFile: (path) => readFileSync(resolve(folder, path), 'utf8')
    })
    return { services: Object.entries(services).map(([service, spec]) => ({ service, spec })), notices }
  } catch (cause) {
    if (!(cause instanceof SpecError)) throw cause
    const problems = cause.problems.map(describeProblem)
    throw new CliError(
      'invalid-service-file',
      `the service file is not valid for ${environment}; nothing was applied`,
      problems,
      { cause }
    )
  }
}

/** As Compose does it: paths in the files start at the folder of the first one, or here when it is standard input. */
function folderOf(files: readonly ServiceFile[]): string {
  const first = files[0]?.name
  return first === undefined || first === stdinName ? '.' : dirname(first)
}

const definedOf = (env: Environment): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))
  )
