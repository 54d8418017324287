// The draft of a service -> the text of a service file, checked by the reader that `apply` uses; and what a person is
// told about it.
import {
  describeProblem,
  readServiceFiles,
  SpecError,
  type SpecProblem,
  writeServiceFile
} from '@longshore/protocol/spec'
import { CliError } from '../cli-errors.ts'
import { formatText } from '../format-values.ts'
import type { Environment } from '../read-settings.ts'
import type { DockerRun } from './read-docker-run.ts'
import { type Given, type ServiceDraft, textOf } from './service-draft.ts'
import { hasVariable, literalOf, variablesOf } from './value-text.ts'

export type Imported = {
  /** The service file. */
  file: string
  /** Lines for people. */
  notices: string[]
}

/**
 * @param env for variables in the command line, where they are set
 * @throws CliError usage: for a value that no service can have
 */
export const renderImport = (run: DockerRun, env: Environment): Imported => {
  const { draft } = run
  const service = serviceNameOf(run)
  const content = {
    services: { [service]: draft.service },
    ...(draft.networks.size > 0 && {
      networks: Object.fromEntries([...draft.networks].map((name) => [name, { external: true }]))
    }),
    ...(draft.volumes.size > 0 && {
      volumes: Object.fromEntries([...draft.volumes].map((name) => [name, { name }]))
    })
  }
  const comments = draft.leftOut.map(({ what, advice }) => formatText(`left out: ${what}: ${advice}`))
  const file = writeServiceFile(content, comments)
  checkFile(file, draft, service, env)
  return { file, notices: noticesOf(run, service) }
}

/** The container's name, or the last part of the image's, in the letters of a service. */
const serviceNameOf = ({ name, image }: DockerRun): string => {
  const path = image.replace(/@.*$/s, '').split('/').at(-1) ?? ''
  const wanted = (name ?? path.replace(/:.*$/s, '')).toLowerCase()
  const letters = wanted.replaceAll(/[^a-z0-9_-]+/g, '-').replace(/^[^a-z0-9]+/, '')
  return letters.slice(0, 63).replace(/[^a-z0-9]+$/, '') || 'service'
}

/** A value of a variable is not known here, so what is wrong with it shows when the file is applied. */
const checkFile = (file: string, draft: ServiceDraft, service: string, env: Environment): void => {
  try {
    readServiceFiles([{ name: 'the service file', text: file }], {
      environment: { ...env, LONGSHORE_ENVIRONMENT: '' },
      readEnvFile: () => ''
    })
  } catch (cause) {
    if (!(cause instanceof SpecError)) throw cause
    const wrong = cause.problems
      .map((problem) => ({ problem, given: originOf(problem, draft, service) }))
      .filter(({ problem, given }) => !isLeftToApply(problem, given))
      .map(({ problem, given }) =>
        given === undefined ? describeProblem(problem) : `${textOf(given)}: ${problem.message}`
      )
    if (wrong.length === 0) return
    throw new CliError('usage', 'this docker run command cannot become a service', [...new Set(wrong)], {
      cause
    })
  }
}

const isLeftToApply = ({ code }: SpecProblem, given: Given | undefined): boolean =>
  given !== undefined && hasVariable(given.value) && code !== 'interpolation-invalid'

/** The option behind the place in the file, or behind the place that this is a part of. */
const originOf = ({ path }: SpecProblem, draft: ServiceDraft, service: string): Given | undefined => {
  let place = path.slice(`services.${service}.`.length)
  for (;;) {
    const given = draft.origins.get(place)
    if (given !== undefined || place === '') return given
    place = place.slice(0, Math.max(0, place.search(/[.[][^.[]*$/)))
  }
}

const noticesOf = ({ draft, image, name }: DockerRun, service: string): string[] => {
  const variables = [...new Set(variablesOf(JSON.stringify(draft.service)))]
  return [
    ...draft.leftOut.map(({ what, advice }) => `no equivalent: ${what}: ${advice}`),
    ...(draft.idle.size === 0 ? [] : [`without meaning for a service: ${[...draft.idle].join(', ')}`]),
    ...(variables.length === 0
      ? []
      : [
          `variables: ${variables.join(', ')}: their values are those of the place where the file is applied`
        ]),
    ...('command' in draft.service && /^\$\{[^{}]*\}$/.test(image)
      ? [
          `image: ${image} is taken for the image: if options of docker run are in it, write them in its place`
        ]
      : []),
    ...('env_file' in draft.service
      ? ['env_file: read where the file is applied, from the folder of the service file']
      : []),
    ...(name !== null && name !== service ? [`the service is called ${service}, the container ${name}`] : []),
    `next: longshore apply -f FILE --env ENVIRONMENT`,
    `then: longshore deploy ${service} --env ENVIRONMENT ${imageOptionOf(image)} --replace ${name ?? 'CONTAINER'}`
  ].map(formatText)
}

/** What docker run would take: `latest` when the image has no tag. */
const imageOptionOf = (image: string): string => {
  const literal = literalOf(image)
  if (literal === undefined) return '--tag TAG'
  const digest = /@(.+)$/.exec(literal)?.[1]
  if (digest !== undefined) return `--digest ${digest}`
  return `--tag ${/:([^/:]+)$/.exec(literal)?.[1] ?? 'latest'}`
}
