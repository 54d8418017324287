// Reads the text of an env_file: `NAME=value` lines, comments, quotes, `export`, interpolation in values that
// are not in single quotes. Reading the file from disk is left to the caller.
import { interpolate, type Unset, type Variables } from './interpolate.ts'
import { ValueError } from './read-value.ts'

const statement = /^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*(?:([=])[ \t]*([\s\S]*))?$/
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }

/**
 * @param variables for interpolation, and for names that stand without a value
 * @throws ValueError or InterpolationError, with the line in the message
 */
export const parseEnvFile = (text: string, variables: Variables, unset: Unset): Map<string, string> => {
  const values = new Map<string, string>()
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/)
  for (let index = 0; index < lines.length; index += 1) {
    const line = (lines[index] ?? '').trim()
    if (line === '' || line.startsWith('#')) continue
    const match = statement.exec(line)
    const name = match?.[1]
    if (match === null || name === undefined)
      throw new ValueError(`line ${String(index + 1)} is not NAME=VALUE`)
    if (match[2] === undefined) {
      const inherited = Object.hasOwn(variables, name) ? variables[name] : undefined
      if (inherited !== undefined) values.set(name, inherited)
      continue
    }
    let raw = match[3] ?? ''
    const quote = raw[0]
    if (quote === '"' || quote === "'") {
      const first = index
      // A quoted value may go on over several lines.
      while (closingQuote(raw, quote) < 0) {
        index += 1
        const next = lines[index]
        if (next === undefined)
          throw new ValueError(`line ${String(first + 1)} opens a quote that is not closed`)
        raw += `\n${next}`
      }
    }
    const known = { ...variables, ...Object.fromEntries(values) }
    values.set(name, decodeValue(raw, known, unset))
  }
  return values
}

const closingQuote = (raw: string, quote: string): number => {
  for (let position = 1; position < raw.length; position += 1) {
    if (raw[position] === '\\' && quote === '"') position += 1
    else if (raw[position] === quote) return position
  }
  return -1
}

const decodeValue = (raw: string, variables: Variables, unset: Unset): string => {
  const quote = raw[0]
  if (quote === "'") return raw.slice(1, closingQuote(raw, quote))
  if (quote !== '"') return interpolate(raw.replace(/(^|\s)#.*$/, '').trimEnd(), variables, unset)
  const body = raw.slice(1, closingQuote(raw, quote))
  return interpolate(body, variables, unset).replace(/\\([\s\S])/g, (whole, char: string) =>
    char in escapes ? (escapes[char] ?? whole) : char === '"' || char === '\\' || char === '$' ? char : whole
  )
}
