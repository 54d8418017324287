// What differs between two specs, and one text per spec: for `apply` to show and for the hash of a release.
import { sha256 } from '../sha256.ts'
import type { ServiceSpec } from './service-spec.ts'

/** `undefined`: absent on that side. */
export type SpecDifference = { readonly path: string; readonly before: unknown; readonly after: unknown }

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Differences leaf by leaf, sorted by path. Lists are compared as a whole: their order has a meaning.
 * @param before null for a first revision
 */
export const diffSpecs = (before: ServiceSpec | null, after: ServiceSpec): SpecDifference[] => {
  const differences: SpecDifference[] = []
  collect('', before ?? {}, after, differences)
  return differences
}

const collect = (path: string, before: unknown, after: unknown, into: SpecDifference[]): void => {
  if (isRecord(before) && isRecord(after)) {
    for (const key of [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()) {
      const child = path === '' ? key : `${path}.${key}`
      collect(child, ownValue(before, key), ownValue(after, key), into)
    }
  } else if (canonicalJson(before) !== canonicalJson(after)) into.push({ path, before, after })
}

const ownValue = (record: Record<string, unknown>, key: string): unknown =>
  Object.hasOwn(record, key) ? record[key] : undefined

/** JSON with sorted keys and without absent values: equal values give equal text. */
export const canonicalJson = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null'
  const members = Object.keys(value)
    .sort()
    .filter((key) => value[key] !== undefined)
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`)
  return `{${members.join(',')}}`
}

/** SHA-256 over the canonical text, in lower-case hexadecimal. */
export const specHash = async (spec: ServiceSpec): Promise<string> => {
  const hash = await sha256(canonicalJson(spec))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
