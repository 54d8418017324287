// What differs between two specs of a service? Compared as JSON values, whatever the order of keys; a list is one
// value, because the order of its entries means something.
import type { ServiceSpec } from '@longshore/protocol'
import type { SpecChange } from '../../api/schemas.ts'

/** @param before null: there was none. @returns one entry per changed path, ordered by path; empty: the same */
export const compareSpecs = (before: ServiceSpec | null, after: ServiceSpec): SpecChange[] =>
  before === null
    ? [{ path: '', before: null, after }]
    : compareValues('', before, after).sort((a, b) => (a.path < b.path ? -1 : 1))

const compareValues = (path: string, before: unknown, after: unknown): SpecChange[] => {
  if (isMap(before) && isMap(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) =>
      compareValues(path === '' ? key : `${path}.${key}`, before[key] ?? null, after[key] ?? null)
    )
  }
  return canonical(before) === canonical(after) ? [] : [{ path, before, after }]
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** JSON with the keys of every object in order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) =>
    isMap(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part
  )
