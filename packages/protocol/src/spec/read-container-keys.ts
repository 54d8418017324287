// Keys of a service about the process: what runs, with which environment, user, health check and logs.

import { parseImage } from './parse-image.ts'
import { parseDuration } from './parse-units.ts'
import type { EnvironmentReader } from './read-environment.ts'
import {
  type Cursor,
  childrenOf,
  complain,
  fieldsOf,
  isNull,
  itemsOf,
  parseWith,
  readBoolean,
  readInteger,
  readKeyValues,
  readOneOf,
  readSource,
  readText,
  readTextMap,
  ValueError
} from './read-value.ts'
import type { HealthcheckSpec, ImageReference, ServiceSpec } from './service-spec.ts'
import { splitCommand } from './split-command.ts'

export const healthcheckKeys = [
  'test',
  'interval',
  'timeout',
  'retries',
  'start_period',
  'start_interval',
  'disable'
] as const
export const loggingKeys = ['driver', 'options'] as const

const nothing: ImageReference = { repository: '-', tag: null, digest: null }

export const readImage = (cursor: Cursor): ImageReference => parseWith(cursor, parseImage, nothing)

/** A text is split into arguments; a list is taken as it is. An empty list clears what the image says. */
export const readCommand = (cursor: Cursor): string[] =>
  cursor.node.kind === 'list' ? itemsOf(cursor).map(readText) : parseWith(cursor, splitCommand, [])

export const readLabels = (cursor: Cursor): Record<string, string> => {
  const labels = readTextMap(cursor)
  for (const key of Object.keys(labels)) {
    if (key.startsWith('longshore.'))
      complain(cursor, `labels that begin with longshore. are reserved: ${key}`)
  }
  return labels
}

/** `environment` over `env_file`; names without a value come from where the file is applied. */
export const readEnvironment = (
  environment: Cursor | undefined,
  envFile: Cursor | undefined,
  reader: EnvironmentReader
): Record<string, string> => {
  const values = new Map<string, string>(envFile === undefined ? [] : reader.readFiles(envFile))
  const own = environment === undefined ? [] : readKeyValues(environment)
  for (const [name, value] of own) {
    if (name === '' || name.includes('=') || name.includes('\0')) {
      if (environment !== undefined) complain(environment, `${JSON.stringify(name)} cannot name a variable`)
      continue
    }
    const actual = value ?? reader.lookUp(name)
    if (actual === undefined) values.delete(name)
    else values.set(name, actual)
  }
  return Object.fromEntries(values)
}

const restartPattern = /^(no|always|on-failure|unless-stopped)(?::(\d{1,6}))?$/

const parseRestart = (text: string): ServiceSpec['restart'] => {
  const match = restartPattern.exec(text === 'false' ? 'no' : text)
  const name = match?.[1] as ServiceSpec['restart']['name'] | undefined
  if (name === undefined || (match?.[2] !== undefined && name !== 'on-failure')) {
    throw new ValueError('expected no, always, on-failure, on-failure:N or unless-stopped')
  }
  return { name, maxRetries: Number(match?.[2] ?? 0) }
}

export const readRestart = (cursor: Cursor): ServiceSpec['restart'] =>
  parseWith(cursor, parseRestart, { name: 'no', maxRetries: 0 })

/** Without a driver the engine's own default is used, with these options. */
export const readLogging = (cursor: Cursor): ServiceSpec['logging'] => {
  const { driver, options } = fieldsOf(cursor, loggingKeys)
  const texts = new Map<string, string>()
  if (options !== undefined) {
    if (options.node.kind !== 'map') complain(options, 'expected a map', 'wrong-type')
    for (const [key, child] of childrenOf(options)) texts.set(key, isNull(child) ? '' : readText(child))
  }
  return { driver: driver === undefined ? '' : readText(driver), options: Object.fromEntries(texts) }
}

export const readHealthcheck = (cursor: Cursor): HealthcheckSpec => {
  const fields = fieldsOf(cursor, healthcheckKeys)
  const { test, disable } = fields
  if (disable !== undefined && readBoolean(disable)) {
    if (test !== undefined) complain(test, 'a health check that is disabled has no test', 'conflict')
    return { test: ['NONE'] }
  }
  return {
    test: test === undefined ? null : readTest(test),
    ...(fields.interval && { intervalMs: readDuration(fields.interval) }),
    ...(fields.timeout && { timeoutMs: readDuration(fields.timeout) }),
    ...(fields.retries && { retries: readInteger(fields.retries, { min: 0, max: 10_000 }) }),
    ...(fields.start_period && { startPeriodMs: readDuration(fields.start_period) }),
    ...(fields.start_interval && { startIntervalMs: readDuration(fields.start_interval) })
  }
}

const readTest = (cursor: Cursor): string[] => {
  if (cursor.node.kind !== 'list') return ['CMD-SHELL', readText(cursor)]
  const words = itemsOf(cursor).map(readText)
  const [kind] = words
  const isValid =
    (kind === 'NONE' && words.length === 1) ||
    (kind === 'CMD' && words.length > 1) ||
    (kind === 'CMD-SHELL' && words.length === 2)
  if (!isValid) complain(cursor, 'expected [NONE], [CMD, PROGRAM, ...] or [CMD-SHELL, TEXT]')
  return words
}

export const readDuration = (cursor: Cursor): number => parseWith(cursor, parseDuration, 0)

/** `1000`, `1000:1000`, `name`: a leading zero is kept. */
export const readUser = (cursor: Cursor): string => readSource(cursor)

export const readPlatform = (cursor: Cursor): string =>
  parseWith(
    cursor,
    (text) => {
      if (/^[a-z0-9]+\/[a-z0-9_]+(?:\/[a-z0-9.]+)?$/.test(text)) return text
      throw new ValueError('expected a platform like linux/amd64 or linux/arm/v7')
    },
    ''
  )

const pullPolicies = ['missing', 'always', 'never', 'if_not_present'] as const

export const readPullPolicy = (cursor: Cursor): ServiceSpec['pullPolicy'] => {
  const policy = readOneOf(cursor, pullPolicies)
  return policy === 'if_not_present' ? 'missing' : policy
}

export const readContainerName = (cursor: Cursor): string =>
  parseWith(
    cursor,
    (text) => {
      if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/.test(text)) return text
      throw new ValueError('a container name has letters, digits, and _ . - after the first')
    },
    ''
  )
