// Where values of the environment come from besides the file itself: variables of the place where the file is
// applied, and env_files, which the caller reads.
import { InterpolationError, type Unset, type Variables } from './interpolate.ts'
import { parseEnvFile } from './parse-env-file.ts'
import {
  type Cursor,
  complain,
  fieldsOf,
  itemsOrOne,
  readBoolean,
  readText,
  ValueError
} from './read-value.ts'

export const envFileKeys = ['path', 'required', 'format'] as const

/** @throws anything when the file cannot be read; `fromFile` is the service file that names it */
export type ReadEnvFile = (path: string, fromFile: string) => string

export type EnvironmentReader = {
  lookUp(name: string): string | undefined
  /** Later files win over earlier ones. */
  readFiles(cursor: Cursor): Map<string, string>
}

export const environmentReader = (
  variables: Variables,
  readEnvFile: ReadEnvFile | undefined,
  unset: Unset
): EnvironmentReader => ({
  lookUp: (name) => {
    const value = Object.hasOwn(variables, name) ? variables[name] : undefined
    if (value === undefined) unset.add(name)
    return value
  },
  readFiles: (cursor) => {
    const values = new Map<string, string>()
    for (const item of itemsOrOne(cursor)) {
      for (const [name, value] of readFile(item, variables, readEnvFile, unset)) values.set(name, value)
    }
    return values
  }
})

const readFile = (
  cursor: Cursor,
  variables: Variables,
  read: ReadEnvFile | undefined,
  unset: Unset
): Map<string, string> => {
  const { path, isRequired, isRaw } = readReference(cursor)
  if (path === '') return new Map()
  let text: string
  try {
    if (read === undefined) throw new ValueError('files cannot be read here')
    text = read(path, cursor.node.at.file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : 'unknown reason'
    if (isRequired) complain(cursor, `cannot read ${path}: ${reason}`, 'env-file-unreadable')
    return new Map()
  }
  try {
    return isRaw ? parseRaw(text, variables) : parseEnvFile(text, variables, unset)
  } catch (error) {
    if (!(error instanceof ValueError || error instanceof InterpolationError)) throw error
    complain(cursor, `${path}: ${error.message}`, 'env-file-unreadable')
    return new Map()
  }
}

const readReference = (cursor: Cursor): { path: string; isRequired: boolean; isRaw: boolean } => {
  if (cursor.node.kind !== 'map') return { path: readText(cursor), isRequired: true, isRaw: false }
  const { path, required, format } = fieldsOf(cursor, envFileKeys)
  if (path === undefined) complain(cursor, 'an env_file needs a path', 'missing-key')
  const isRaw = format !== undefined && readText(format) === 'raw'
  if (format !== undefined && !isRaw) complain(format, 'the only format is raw')
  return {
    path: path === undefined ? '' : readText(path),
    isRequired: required === undefined || readBoolean(required),
    isRaw
  }
}

/** As docker run reads a file: every value as it stands, without quotes, comments after it, or interpolation. */
const parseRaw = (text: string, variables: Variables): Map<string, string> => {
  const values = new Map<string, string>()
  for (const [index, whole] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = whole.replace(/^[ \t]+/, '')
    if (line === '' || line.startsWith('#')) continue
    const cut = line.indexOf('=')
    const name = cut < 0 ? line : line.slice(0, cut)
    if (name === '') throw new ValueError(`line ${String(index + 1)} has no name before the =`)
    if (/[ \t]/.test(name)) throw new ValueError(`line ${String(index + 1)} has a blank in its name`)
    const inherited = Object.hasOwn(variables, name) ? variables[name] : undefined
    const value = cut < 0 ? inherited : line.slice(cut + 1)
    if (value !== undefined) values.set(name, value)
  }
  return values
}
