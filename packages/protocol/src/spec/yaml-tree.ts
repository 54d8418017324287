// Turns YAML text into a tree of plain nodes that remember where each key and value was written. Aliases and
// merge keys (`<<`) are resolved here; what a key means is left to the readers.
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Pair,
  parseAllDocuments,
  type YAMLMap,
  type Node as YamlNode
} from 'yaml'
import { maxServiceFileBytes } from '../limits.ts'
import type { Place, Problems } from './spec-error.ts'

/** Nodes after all aliases are expanded; a file at the size limit without aliases stays far below. */
const maxNodes = 50_000
/** Nesting; the deepest supported key needs 9. */
const maxDepth = 32

/** Compose's tags for merging: drop what came before, or replace it instead of merging. */
export type MergeTag = 'reset' | 'override'
export type Scalar = string | number | boolean | null

type Common = { readonly at: Place; readonly tag?: MergeTag }
/** `source` is the text as written, without quotes: it keeps `0755` and `1.10` as they were. */
export type ScalarNode = Common & {
  readonly kind: 'scalar'
  readonly value: Scalar
  readonly source: string
}
export type ListNode = Common & { readonly kind: 'list'; readonly items: readonly TreeNode[] }
export type Entry = { readonly keyAt: Place; readonly node: TreeNode }
export type MapNode = Common & { readonly kind: 'map'; readonly entries: ReadonlyMap<string, Entry> }
export type TreeNode = ScalarNode | ListNode | MapNode

/** A file as it was read from disk; `name` is what problems are reported under. */
export type SourceFile = { readonly name: string; readonly text: string }

type Reading = {
  readonly file: string
  readonly lines: LineCounter
  readonly document: Document.Parsed
  readonly problems: Problems
  nodes: number
}

class TooComplex extends Error {
  readonly at: Place
  constructor(at: Place) {
    super('too complex')
    this.at = at
  }
}

/**
 * Reads one file. Several YAML documents in it count as several files, as in Compose.
 * @returns one tree per document that is not empty; none when the file has problems
 */
export const readTrees = (file: SourceFile, problems: Problems): TreeNode[] => {
  const start: Place = { file: file.name, line: 1, column: 1 }
  if (new TextEncoder().encode(file.text).length > maxServiceFileBytes) {
    problems.add('file-too-large', start, '', `the file exceeds ${String(maxServiceFileBytes)} bytes`)
    return []
  }
  try {
    return parseText(file, problems)
  } catch (error) {
    if (error instanceof TooComplex) problems.add('too-complex', error.at, '', 'nested or expanded too far')
    // The parser recurses: text made of brackets overflows the stack before any limit of ours is asked.
    else if (error instanceof RangeError) problems.add('too-complex', start, '', 'nested too deeply')
    else
      problems.add(
        'yaml-invalid',
        start,
        '',
        error instanceof Error ? firstLine(error.message) : 'unreadable'
      )
    return []
  }
}

const parseText = (file: SourceFile, problems: Problems): TreeNode[] => {
  const lines = new LineCounter()
  // `merge: true` alone would resolve `<<` only in toJS, which forgets positions; here it only keeps the key.
  // Repeated keys are found in convertMap: the parser's own check takes time by the square of their number.
  const parsed = parseAllDocuments(file.text, {
    lineCounter: lines,
    merge: true,
    uniqueKeys: false,
    logLevel: 'silent'
  })
  const documents = Array.isArray(parsed) ? parsed : []
  const trees: TreeNode[] = []
  for (const document of documents) {
    const reading: Reading = { file: file.name, lines, document, problems, nodes: 0 }
    for (const error of document.errors) {
      problems.add('yaml-invalid', placeOf(reading, error.pos[0]), '', firstLine(error.message))
    }
    if (document.errors.length === 0 && document.contents !== null) {
      trees.push(convert(reading, document.contents, 0, []))
    }
  }
  return trees
}

const firstLine = (text: string): string =>
  (text.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:?$/, '')

const placeOf = (reading: Reading, offset: number): Place => {
  const { line, col } = reading.lines.linePos(offset)
  return { file: reading.file, line: Math.max(1, line), column: Math.max(1, col) }
}

const placeOfNode = (reading: Reading, node: YamlNode | null | undefined): Place =>
  placeOf(reading, node?.range?.[0] ?? 0)

/** @param aliases those being expanded now: one that contains itself never ends */
const convert = (reading: Reading, node: YamlNode, depth: number, aliases: readonly YamlNode[]): TreeNode => {
  const at = placeOfNode(reading, node)
  reading.nodes += 1
  if (reading.nodes > maxNodes || depth > maxDepth) throw new TooComplex(at)
  if (isAlias(node)) {
    const target = node.resolve(reading.document)
    if (target === undefined) {
      reading.problems.add('yaml-invalid', at, '', `the alias *${node.source} has no anchor before it`)
      return { kind: 'scalar', at, value: null, source: '' }
    }
    if (aliases.includes(target)) throw new TooComplex(at)
    return convert(reading, target, depth, [...aliases, target])
  }
  const tag = mergeTagOf(reading, node, at)
  if (isMap(node)) return { kind: 'map', at, entries: convertMap(reading, node, depth, aliases), ...tag }
  if (isSeq(node)) {
    const items = node.items.map((item) => convert(reading, item as YamlNode, depth + 1, aliases))
    return { kind: 'list', at, items, ...tag }
  }
  return { kind: 'scalar', at, ...scalarOf(node), ...tag }
}

const mergeTagOf = (reading: Reading, node: YamlNode, at: Place): { tag?: MergeTag } => {
  const tag = isMap(node) || isSeq(node) || isScalar(node) ? node.tag : undefined
  if (tag === '!reset') return { tag: 'reset' }
  if (tag === '!override') return { tag: 'override' }
  if (tag !== undefined && !tag.startsWith('tag:yaml.org,2002:')) {
    reading.problems.add('yaml-invalid', at, '', `the tag ${tag} is not known; only !reset and !override are`)
  }
  return {}
}

const scalarOf = (node: YamlNode): { value: Scalar; source: string } => {
  const value: unknown = isScalar(node) ? node.value : null
  const source = (isScalar(node) ? node.source : undefined) ?? ''
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return { value, source }
  // Integers that a double cannot hold stay text, so that an id with 20 digits is not rounded.
  if (typeof value === 'number') {
    return { value: Number.isInteger(value) && !Number.isSafeInteger(value) ? source : value, source }
  }
  return { value: source, source }
}

const convertMap = (
  reading: Reading,
  node: YAMLMap,
  depth: number,
  aliases: readonly YamlNode[]
): Map<string, Entry> => {
  const own = new Map<string, Entry>()
  const inherited = new Map<string, Entry>()
  for (const pair of node.items as Pair<YamlNode, YamlNode | null>[]) {
    const keyAt = placeOfNode(reading, pair.key)
    if (isMergeKey(pair.key)) {
      const sources = pair.value === null ? [] : mergeSources(reading, pair.value, depth, aliases)
      // The first of several sources wins (YAML merge key specification).
      for (const source of sources)
        for (const [key, entry] of source) if (!inherited.has(key)) inherited.set(key, entry)
      continue
    }
    if (!isScalar(pair.key)) {
      reading.problems.add('yaml-invalid', keyAt, '', 'a key must be plain text')
      continue
    }
    const value: TreeNode =
      pair.value === null
        ? { kind: 'scalar', at: keyAt, value: null, source: '' }
        : convert(reading, pair.value, depth + 1, aliases)
    const key = pair.key.source ?? String(pair.key.value)
    if (own.has(key)) reading.problems.add('yaml-invalid', keyAt, '', `the key ${key} is there twice`)
    own.set(key, { keyAt, node: value })
  }
  for (const [key, entry] of inherited) if (!own.has(key)) own.set(key, entry)
  return own
}

const isMergeKey = (key: YamlNode): boolean =>
  isScalar(key) && (typeof key.value === 'symbol' || (key.value === '<<' && key.type === 'PLAIN'))

const mergeSources = (
  reading: Reading,
  value: YamlNode,
  depth: number,
  aliases: readonly YamlNode[]
): ReadonlyMap<string, Entry>[] => {
  const node = convert(reading, value, depth, aliases)
  const maps = node.kind === 'list' ? node.items : [node]
  const sources: ReadonlyMap<string, Entry>[] = []
  for (const map of maps) {
    if (map.kind === 'map') sources.push(map.entries)
    else reading.problems.add('yaml-invalid', map.at, '', 'a merge key (<<) takes a map or a list of maps')
  }
  return sources
}
