// Service files -> specs: read each file, interpolate it, merge them, read every service of the result.
// Finding and reading files is left to the caller; so is everything that a host has to say about a spec.
import { type ServiceName, serviceName } from '../ids.ts'
import { interpolateTree, type Unset, type Variables } from './interpolate.ts'
import { mergeTrees } from './merge-files.ts'
import { environmentReader, type ReadEnvFile } from './read-environment.ts'
import { readService, type ServiceContext } from './read-service.ts'
import {
  type Cursor,
  childrenOf,
  complain,
  fieldsOf,
  isNull,
  keyPlace,
  readBoolean,
  readText
} from './read-value.ts'
import type { ServiceSpec } from './service-spec.ts'
import { Problems, SpecError } from './spec-error.ts'
import { readTrees, type SourceFile, type TreeNode } from './yaml-tree.ts'

export const topLevelKeys = ['services', 'networks', 'volumes', 'name', 'version'] as const
export const definitionKeys = ['name', 'external', 'driver'] as const

export type ReadOptions = {
  /** Variables for interpolation and for names without a value; the caller puts LONGSHORE_ENVIRONMENT in. */
  readonly environment: Variables
  /** Text of an env_file; without it a file with `env_file` is refused. */
  readonly readEnvFile?: ReadEnvFile
}

export type ServiceFiles = {
  readonly services: Record<ServiceName, ServiceSpec>
  /** For people: what was accepted without effect, which variables were not set. */
  readonly notices: string[]
}

const refusedTopLevel = {
  secrets: 'secrets is not supported yet',
  configs: 'configs is not supported; mount a file of the host',
  include: 'include is not supported; name several files'
}

/**
 * @param files in the order in which they are merged: later ones win
 * @throws SpecError with every problem found, and nothing else
 */
export const readServiceFiles = (files: readonly SourceFile[], options: ReadOptions): ServiceFiles => {
  const problems = new Problems()
  const unset: Unset = new Set()
  const trees = readInterpolated(files, options.environment, problems, unset)
  const root = mergeTrees(trees, problems)
  const notices = new Set<string>()
  const start = { file: files[0]?.name ?? '', line: 1, column: 1 }
  if (root === undefined && problems.isEmpty)
    problems.add('no-services', start, '', 'the files define no service')
  const services =
    root === undefined
      ? {}
      : readRoot(
          { node: root, path: '', problems },
          {
            environment: environmentReader(options.environment, options.readEnvFile, unset),
            note: (text) => notices.add(text)
          }
        )
  if (!problems.isEmpty) throw new SpecError(problems.sorted(files.map((file) => file.name)))
  for (const name of [...unset].sort())
    notices.add(`the variable ${name} is not set; nothing stands in its place`)
  return { services, notices: [...notices] }
}

const readInterpolated = (
  files: readonly SourceFile[],
  environment: Variables,
  problems: Problems,
  unset: Unset
): TreeNode[] =>
  files
    .flatMap((file) => readTrees(file, problems))
    .map((tree) => interpolateTree(tree, '', environment, problems, unset))

const readRoot = (
  root: Cursor,
  outside: Pick<ServiceContext, 'environment' | 'note'>
): Record<ServiceName, ServiceSpec> => {
  const fields = fieldsOf(root, topLevelKeys, refusedTopLevel)
  if (fields.name) outside.note('name is used by docker compose only')
  if (fields.version) outside.note('version is used by docker compose only')
  const context: ServiceContext = {
    ...outside,
    networkNames: readDefinitions(fields.networks, 'bridge'),
    volumeNames: readDefinitions(fields.volumes, 'local')
  }
  const services: Record<ServiceName, ServiceSpec> = {}
  const children = fields.services === undefined ? new Map<string, Cursor>() : childrenOf(fields.services)
  if (children.size === 0 && root.problems.isEmpty)
    complain(root, 'the files define no service', 'no-services')
  for (const [key, child] of children) {
    const name = serviceName.safeParse(key)
    const spec = readOwn(child, context, root.problems)
    if (name.success && spec !== undefined) services[name.data] = spec
    if (!name.success && fields.services !== undefined) {
      const at = keyPlace(fields.services, key)
      root.problems.add(
        'invalid-value',
        at,
        child.path,
        'a service name has a-z, 0-9, - and _, and at most 63 characters'
      )
    }
  }
  return services
}

/** A service is judged by its own problems: a fault in one does not hide the limits of the next. */
const readOwn = (child: Cursor, context: ServiceContext, problems: Problems): ServiceSpec | undefined => {
  const own = new Problems()
  const spec = readService({ ...child, problems: own }, context)
  problems.addAll(own)
  return spec
}

/**
 * Top-level `networks` and `volumes`: only a name of its own has an effect.
 * @returns name on the host, by key
 */
const readDefinitions = (cursor: Cursor | undefined, driver: string): Map<string, string> => {
  const names = new Map<string, string>()
  if (cursor === undefined) return names
  if (cursor.node.kind !== 'map') complain(cursor, 'expected a map', 'wrong-type')
  for (const [key, child] of childrenOf(cursor)) {
    const fields = isNull(child) ? {} : fieldsOf(child, definitionKeys, refusedDefinitions)
    if (fields.driver !== undefined && readText(fields.driver) !== driver) {
      complain(fields.driver, `the only driver is ${driver}`, 'not-supported')
    }
    if (fields.external !== undefined) readBoolean(fields.external)
    names.set(key, fields.name === undefined ? key : readText(fields.name))
  }
  return names
}

const asItIs = 'what is on the host is used as it is; make it there with the options it needs'
const refusedDefinitions = {
  driver_opts: asItIs,
  ipam: asItIs,
  labels: asItIs,
  internal: asItIs,
  attachable: asItIs,
  enable_ipv6: asItIs
}
