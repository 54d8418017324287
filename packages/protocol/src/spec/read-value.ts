// Reads single values from the tree: the type is checked, the problem is noted with its place, and a stand-in
// is returned so that the reader can go on. Stand-ins are never used: a file with problems gives no spec.
import { nearestKey } from './nearest-key.ts'
import type { Place, Problems, SpecProblemCode } from './spec-error.ts'
import type { TreeNode } from './yaml-tree.ts'

/** A node with its path, and where to put problems. */
export type Cursor = {
  readonly node: TreeNode
  readonly path: string
  readonly problems: Problems
}

/** Thrown by the parsers of single texts (durations, ports, ...); `parseWith` turns it into a problem. */
export class ValueError extends Error {
  override readonly name = 'ValueError'
  readonly code: SpecProblemCode

  constructor(message: string, code: SpecProblemCode = 'invalid-value') {
    super(message)
    this.code = code
  }
}

export const complain = (cursor: Cursor, message: string, code: SpecProblemCode = 'invalid-value'): void =>
  cursor.problems.add(code, cursor.node.at, cursor.path, message)

export const isNull = (cursor: Cursor): boolean => cursor.node.kind === 'scalar' && cursor.node.value === null

/** Text as Compose casts it: numbers and booleans become their canonical text. */
export const readText = (cursor: Cursor): string => {
  const { node } = cursor
  if (node.kind === 'scalar' && node.value !== null) return String(node.value)
  complain(cursor, `expected text, found ${describe(node)}`, 'wrong-type')
  return ''
}

/** Text in which a leading zero or a sign means something, as it was written: modes, ids of users. */
export const readSource = (cursor: Cursor): string => {
  const { node } = cursor
  if (node.kind === 'scalar' && typeof node.value === 'number') return node.source
  return readText(cursor)
}

const describe = (node: TreeNode): string => {
  if (node.kind !== 'scalar') return `a ${node.kind}`
  return node.value === null ? 'nothing' : `a ${typeof node.value}`
}

export const parseWith = <T>(cursor: Cursor, parse: (text: string) => T, standIn: T): T => {
  const text = readText(cursor)
  if (text === '' && cursor.node.kind !== 'scalar') return standIn
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof ValueError)) throw error
    complain(cursor, error.message, error.code)
    return standIn
  }
}

export type Range = { readonly min: number; readonly max: number }

/** Also from text, since interpolation gives text. */
export const readNumber = (cursor: Cursor, range: Range): number =>
  parseWith(
    cursor,
    (text) => {
      const value = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN
      if (Number.isNaN(value)) throw new ValueError('expected a number', 'wrong-type')
      return checkRange(value, range)
    },
    range.min
  )

export const readInteger = (cursor: Cursor, range: Range): number =>
  parseWith(
    cursor,
    (text) => {
      if (!/^[+-]?\d{1,16}$/.test(text)) throw new ValueError('expected a whole number', 'wrong-type')
      return checkRange(Number(text), range)
    },
    range.min
  )

const checkRange = (value: number, { min, max }: Range): number => {
  if (value >= min && value <= max) return value
  throw new ValueError(`expected a number from ${String(min)} to ${String(max)}`)
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['false', false],
  ['yes', true],
  ['no', false],
  ['on', true],
  ['off', false],
  ['1', true],
  ['0', false]
])

export const readBoolean = (cursor: Cursor): boolean => {
  const value =
    cursor.node.kind === 'scalar' ? booleans.get(String(cursor.node.value).toLowerCase()) : undefined
  if (value === undefined) complain(cursor, 'expected true or false', 'wrong-type')
  return value ?? false
}

export const readOneOf = <const T extends string>(cursor: Cursor, values: readonly [T, ...T[]]): T => {
  const text = readText(cursor)
  const found = values.find((value) => value === text)
  if (found === undefined) complain(cursor, `expected one of ${values.join(', ')}`)
  return found ?? values[0]
}

export const itemsOf = (cursor: Cursor): Cursor[] => {
  const { node, path, problems } = cursor
  if (node.kind === 'list') {
    return node.items.map((item, index) => ({ node: item, path: `${path}[${String(index)}]`, problems }))
  }
  if (!isNull(cursor)) complain(cursor, `expected a list, found ${describe(node)}`, 'wrong-type')
  return []
}

/** A list, or one value that stands for a list of one. */
export const itemsOrOne = (cursor: Cursor): Cursor[] =>
  cursor.node.kind === 'scalar' && !isNull(cursor) ? [cursor] : itemsOf(cursor)

/** Without repetitions: merging appends, and a repeated capability or address means nothing. */
export const readTexts = (cursor: Cursor): string[] => [...new Set(itemsOf(cursor).map(readText))]
export const readTextOrTexts = (cursor: Cursor): string[] => [...new Set(itemsOrOne(cursor).map(readText))]

/** Values by key, from `{A: 1, B: }` or `[A=1, B]`; null where no value is given. */
export const readKeyValues = (cursor: Cursor): Map<string, string | null> => {
  const values = new Map<string, string | null>()
  if (cursor.node.kind === 'map') {
    for (const [key, child] of childrenOf(cursor)) values.set(key, isNull(child) ? null : readText(child))
    return values
  }
  for (const item of itemsOf(cursor)) {
    const text = readText(item)
    const cut = text.indexOf('=')
    const key = cut < 0 ? text : text.slice(0, cut)
    if (key === '') complain(item, 'expected NAME=VALUE')
    else values.set(key, cut < 0 ? null : text.slice(cut + 1))
  }
  return values
}

/** As `readKeyValues`, with an empty text where no value is given. */
export const readTextMap = (cursor: Cursor): Record<string, string> =>
  Object.fromEntries([...readKeyValues(cursor)].map(([key, value]) => [key, value ?? '']))

export const childrenOf = (cursor: Cursor): Map<string, Cursor> => {
  const children = new Map<string, Cursor>()
  if (cursor.node.kind !== 'map') return children
  for (const [key, entry] of cursor.node.entries) {
    const path = cursor.path === '' ? key : `${cursor.path}.${key}`
    children.set(key, { node: entry.node, path, problems: cursor.problems })
  }
  return children
}

/** Where the key of a child stands; the value may be far below it. */
export const keyPlace = (cursor: Cursor, key: string): Place =>
  (cursor.node.kind === 'map' ? cursor.node.entries.get(key)?.keyAt : undefined) ?? cursor.node.at

export type Fields<K extends string> = { readonly [key in K]?: Cursor }

/**
 * The children of a map, by key. Keys without a value count as absent; `x-*` is ignored.
 * @param keys those that are supported here
 * @param refused known ones that are not, with the reason
 */
export const fieldsOf = <K extends string>(
  cursor: Cursor,
  keys: readonly K[],
  refused: Readonly<Record<string, string>> = {}
): Fields<K> => {
  if (cursor.node.kind !== 'map') {
    if (!isNull(cursor)) complain(cursor, `expected a map, found ${describe(cursor.node)}`, 'wrong-type')
    return {}
  }
  const fields: { [key in K]?: Cursor } = {}
  for (const [name, child] of childrenOf(cursor)) {
    const key = keys.find((candidate) => candidate === name)
    if (key !== undefined) {
      if (!isNull(child)) fields[key] = child
    } else if (!name.startsWith('x-')) refuseKey(cursor, name, child.path, keys, refused)
  }
  return fields
}

/** A key that is unknown, or known and not supported. */
export const refuseKey = (
  cursor: Cursor,
  key: string,
  path: string,
  keys: readonly string[],
  refused: Readonly<Record<string, string>>
): void => {
  const at = keyPlace(cursor, key)
  const reason = Object.hasOwn(refused, key) ? refused[key] : undefined
  if (reason !== undefined) cursor.problems.add('not-supported', at, path, reason)
  else cursor.problems.add('unknown-key', at, path, `the key ${key} is not supported`, nearestKey(key, keys))
}
