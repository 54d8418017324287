// Merges the trees of several files by Compose's rules: maps by key, lists by appending, the rest by replacing.
// The same thing twice in a list (a port, a mount of one target) is made one by the readers.
// Source of the rules: the Compose Specification, page "Merge".
import type { Place, Problems } from './spec-error.ts'
import type { Entry, ListNode, MapNode, ScalarNode, TreeNode } from './yaml-tree.ts'

type Rule = 'replace' | 'by-key' | 'as-list' | 'logging' | 'networks' | 'hosts'

/** Keys of a service that do not follow from the form of their values. */
const serviceRules: ReadonlyMap<string, Rule> = new Map([
  ['command', 'replace'],
  ['entrypoint', 'replace'],
  ['healthcheck.test', 'replace'],
  ['x-longshore.release_command', 'replace'],
  ['x-longshore.hosts', 'as-list'],
  ['environment', 'by-key'],
  ['labels', 'by-key'],
  ['annotations', 'by-key'],
  ['sysctls', 'by-key'],
  ['dns', 'as-list'],
  ['dns_search', 'as-list'],
  ['dns_opt', 'as-list'],
  ['tmpfs', 'as-list'],
  ['env_file', 'as-list'],
  ['extra_hosts', 'hosts'],
  ['logging', 'logging'],
  ['networks', 'networks'],
  ['depends_on', 'networks']
])

/** Keys whose two forms, map and scalar or list, may replace each other. */
const replaceable = /^(ulimits\.[^.]+|build|develop|gpus|x-longshore\.tls)$/

/** @returns undefined when no file has any content */
export const mergeTrees = (trees: readonly TreeNode[], problems: Problems): MapNode | undefined => {
  let merged: MapNode | undefined
  for (const tree of trees) {
    if (tree.kind !== 'map') {
      problems.add('wrong-type', tree.at, '', 'a service file is a map with the key services')
      continue
    }
    merged = mergeMaps(merged ?? { kind: 'map', at: tree.at, entries: new Map() }, tree, [], problems)
  }
  return merged
}

const ruleOf = (path: readonly string[]): Rule | undefined =>
  path[0] === 'services' && path.length > 2 ? serviceRules.get(path.slice(2).join('.')) : undefined

const mergeMaps = (base: MapNode, next: MapNode, path: readonly string[], problems: Problems): MapNode => {
  const entries = new Map<string, Entry>(base.entries)
  for (const [key, entry] of next.entries) {
    const before = entries.get(key)
    if (entry.node.tag === 'reset') entries.delete(key)
    else if (before === undefined || entry.node.tag === 'override') {
      entries.set(key, { keyAt: entry.keyAt, node: withoutResets(entry.node) })
    } else {
      entries.set(key, {
        keyAt: entry.keyAt,
        node: mergeNodes(before.node, entry.node, [...path, key], problems)
      })
    }
  }
  return { kind: 'map', at: next.at, entries }
}

/** `!reset` also drops what nothing came before. */
const withoutResets = (node: TreeNode): TreeNode => {
  if (node.kind === 'list') {
    return { ...node, items: node.items.filter((item) => item.tag !== 'reset').map(withoutResets) }
  }
  if (node.kind === 'scalar') return node
  const entries = new Map<string, Entry>()
  for (const [key, entry] of node.entries) {
    if (entry.node.tag !== 'reset') entries.set(key, { ...entry, node: withoutResets(entry.node) })
  }
  return { ...node, entries }
}

const mergeNodes = (
  base: TreeNode,
  next: TreeNode,
  path: readonly string[],
  problems: Problems
): TreeNode => {
  const rule = ruleOf(path)
  if (rule === 'replace' || isEmpty(base)) return withoutResets(next)
  if (isEmpty(next)) return base
  if (rule === 'logging' && hasOtherDriver(base, next)) return withoutResets(next)
  const [left, right] = rule === undefined ? [base, next] : [toForm(base, rule), toForm(next, rule)]
  if (left.kind === 'map' && right.kind === 'map') return mergeMaps(left, right, path, problems)
  if (left.kind === 'list' && right.kind === 'list') return appendLists(left, right)
  if (left.kind === right.kind || replaceable.test(path.slice(2).join('.'))) return withoutResets(next)
  problems.add('wrong-type', next.at, path.join('.'), `a ${right.kind} cannot be merged into a ${left.kind}`)
  return next
}

const isEmpty = (node: TreeNode): boolean => node.kind === 'scalar' && node.value === null

const appendLists = (base: ListNode, next: ListNode): ListNode => ({
  kind: 'list',
  at: next.at,
  items: [...base.items, ...next.items.filter((item) => item.tag !== 'reset').map(withoutResets)]
})

const hasOtherDriver = (base: TreeNode, next: TreeNode): boolean => {
  const before = driverOf(base)
  const after = driverOf(next)
  return before !== undefined && after !== undefined && before !== after
}

const driverOf = (node: TreeNode): unknown => {
  const driver = node.kind === 'map' ? node.entries.get('driver')?.node : undefined
  return driver?.kind === 'scalar' ? driver.value : undefined
}

const toForm = (node: TreeNode, rule: Rule): TreeNode => {
  if (rule === 'by-key') return listToMap(node, '=')
  if (rule === 'networks') return listToMap(node, undefined)
  if (rule === 'hosts') return mapToList(node, ':')
  if (rule === 'as-list' && node.kind !== 'list') return { kind: 'list', at: node.at, items: [node] }
  return node
}

const textNode = (at: Place, value: string | null): ScalarNode => ({
  kind: 'scalar',
  at,
  value,
  source: value ?? ''
})

/** `[A=1, B]` -> `{A: '1', B: null}`. Lists that hold anything but text are left to the readers to refuse. */
const listToMap = (node: TreeNode, separator: string | undefined): TreeNode => {
  if (node.kind !== 'list' || node.items.some((item) => item.kind !== 'scalar')) return node
  const entries = new Map<string, Entry>()
  for (const item of node.items) {
    if (item.kind !== 'scalar' || item.tag === 'reset') continue
    const text = String(item.value)
    const cut = separator === undefined ? -1 : text.indexOf(separator)
    const key = cut < 0 ? text : text.slice(0, cut)
    entries.set(key, { keyAt: item.at, node: textNode(item.at, cut < 0 ? null : text.slice(cut + 1)) })
  }
  return { kind: 'map', at: node.at, entries }
}

const mapToList = (node: TreeNode, separator: string): TreeNode => {
  if (node.kind !== 'map') return node
  const items: TreeNode[] = []
  for (const [key, entry] of node.entries) {
    const values = entry.node.kind === 'list' ? entry.node.items : [entry.node]
    for (const value of values) {
      const text = value.kind === 'scalar' ? String(value.value) : ''
      items.push(textNode(entry.keyAt, `${key}${separator}${text}`))
    }
  }
  return { kind: 'list', at: node.at, items }
}
