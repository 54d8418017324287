// Replaces `$NAME` and `${NAME...}` in text by Compose's rules. Keys are never interpolated, only values.
// Source of the rules: the Compose Specification, page "Interpolation".
import type { Problems } from './spec-error.ts'
import type { Entry, MapNode, ScalarNode, TreeNode } from './yaml-tree.ts'

export type Variables = Readonly<Record<string, string | undefined>>

/** Names of variables that were used without a default and are not set: an empty text stands for them. */
export type Unset = Set<string>

/** What is wrong with an expression. `required`: the file itself demands the variable (`?`). */
export class InterpolationError extends Error {
  override readonly name = 'InterpolationError'
  readonly code: 'interpolation-invalid' | 'variable-required'

  constructor(code: 'interpolation-invalid' | 'variable-required', message: string) {
    super(message)
    this.code = code
  }
}

const nameStart = /[A-Za-z_]/
const namePattern = /^[A-Za-z_][A-Za-z0-9_]*/
const operatorPattern = /^(:?[-?+])/
/** Nesting of `${A:-${B:-...}}`. */
const maxNesting = 16

/**
 * @param variables a name that is missing or undefined is not set
 * @throws InterpolationError
 */
export const interpolate = (text: string, variables: Variables, unset: Unset = new Set()): string =>
  expand(text, variables, unset, 0)

const expand = (text: string, variables: Variables, unset: Unset, nesting: number): string => {
  if (nesting > maxNesting) throw new InterpolationError('interpolation-invalid', 'nested too deeply')
  let output = ''
  let position = 0
  while (position < text.length) {
    const dollar = text.indexOf('$', position)
    if (dollar < 0) return output + text.slice(position)
    output += text.slice(position, dollar)
    const next = text[dollar + 1] ?? ''
    if (next === '$') {
      output += '$'
      position = dollar + 2
    } else if (next === '{') {
      const end = closingBrace(text, dollar + 2)
      output += expandBraced(text.slice(dollar + 2, end), variables, unset, nesting)
      position = end + 1
    } else if (nameStart.test(next)) {
      const name = namePattern.exec(text.slice(dollar + 1))?.[0] ?? ''
      output += plainValue(name, variables, unset)
      position = dollar + 1 + name.length
    } else {
      throw new InterpolationError(
        'interpolation-invalid',
        'a single $ stands alone; write $$ for a dollar sign'
      )
    }
  }
  return output
}

/** @returns the position of the brace that ends the expression which begins at `from` */
const closingBrace = (text: string, from: number): number => {
  let depth = 1
  for (let position = from; position < text.length; position += 1) {
    if (text.startsWith('$$', position)) position += 1
    else if (text.startsWith('${', position)) {
      depth += 1
      position += 1
    } else if (text[position] === '}') {
      depth -= 1
      if (depth === 0) return position
    }
  }
  throw new InterpolationError('interpolation-invalid', 'a ${ has no closing brace')
}

const expandBraced = (body: string, variables: Variables, unset: Unset, nesting: number): string => {
  const name = namePattern.exec(body)?.[0]
  if (name === undefined) throw new InterpolationError('interpolation-invalid', 'no variable name follows ${')
  const rest = body.slice(name.length)
  if (rest === '') return plainValue(name, variables, unset)
  const operator = operatorPattern.exec(rest)?.[0]
  if (operator === undefined) {
    throw new InterpolationError('interpolation-invalid', `unexpected text after the variable name ${name}`)
  }
  const operand = rest.slice(operator.length)
  const value = variableOf(name, variables)
  // The colon makes an empty value count as none.
  const isPresent = value !== undefined && !(operator.startsWith(':') && value === '')
  const other = (): string => expand(operand, variables, unset, nesting + 1)
  if (operator.endsWith('+')) return isPresent ? other() : ''
  if (isPresent) return value
  if (operator.endsWith('-')) return other()
  throw new InterpolationError('variable-required', requiredMessage(name, other()))
}

const requiredMessage = (name: string, reason: string): string =>
  reason === '' ? `the variable ${name} is required` : `the variable ${name} is required: ${reason}`

const variableOf = (name: string, variables: Variables): string | undefined =>
  Object.hasOwn(variables, name) ? variables[name] : undefined

const plainValue = (name: string, variables: Variables, unset: Unset): string => {
  const value = variableOf(name, variables)
  if (value === undefined) unset.add(name)
  return value ?? ''
}

/** Interpolates every scalar below `node`; places and merge tags stay. */
export const interpolateTree = (
  node: TreeNode,
  path: string,
  variables: Variables,
  problems: Problems,
  unset: Unset
): TreeNode => {
  if (node.kind === 'map') return interpolateMap(node, path, variables, problems, unset)
  if (node.kind === 'list') {
    const items = node.items.map((item, index) =>
      interpolateTree(item, `${path}[${String(index)}]`, variables, problems, unset)
    )
    return { ...node, items }
  }
  return interpolateScalar(node, path, variables, problems, unset)
}

const interpolateMap = (
  node: MapNode,
  path: string,
  variables: Variables,
  problems: Problems,
  unset: Unset
): MapNode => {
  const entries = new Map<string, Entry>()
  for (const [key, entry] of node.entries) {
    const child = path === '' ? key : `${path}.${key}`
    entries.set(key, {
      keyAt: entry.keyAt,
      node: interpolateTree(entry.node, child, variables, problems, unset)
    })
  }
  return { ...node, entries }
}

const interpolateScalar = (
  node: ScalarNode,
  path: string,
  variables: Variables,
  problems: Problems,
  unset: Unset
): ScalarNode => {
  if (typeof node.value !== 'string' || !node.value.includes('$')) return node
  try {
    const value = interpolate(node.value, variables, unset)
    return { ...node, value, source: value }
  } catch (error) {
    if (!(error instanceof InterpolationError)) throw error
    problems.add(error.code, node.at, path, error.message)
    return node
  }
}
