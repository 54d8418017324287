// Texts as values of a service file have them: `$$` is a dollar sign, `${NAME}` a variable that is filled in when the
// file is applied.

/** Text in which no dollar sign means anything. */
export const dollarsKept = (text: string): string => text.replaceAll('$', '$$$$')

const withoutDollars = (value: string): string => value.replaceAll('$$', '')

export const hasVariable = (value: string): boolean => withoutDollars(value).includes('$')

/** Names of the variables in it. */
export const variablesOf = (value: string): string[] =>
  [...withoutDollars(value).matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)/g)].map((match) => match[1] ?? '')

/** What is meant, where that is known before the file is applied. */
export const literalOf = (value: string): string | undefined =>
  hasVariable(value) ? undefined : value.replaceAll('$$', '$')

/** Splits at each separator that is not inside of `${...}`. */
export const splitAt = (separator: string, value: string): string[] => {
  const parts = ['']
  let depth = 0
  for (const char of value) {
    if (char === '{') depth += 1
    else if (char === '}') depth = Math.max(0, depth - 1)
    if (char === separator && depth === 0) parts.push('')
    else parts.push(`${parts.pop() ?? ''}${char}`)
  }
  return parts
}

/** `NAME=VALUE`; undefined: there is no `=`. */
export const splitPair = (value: string): [name: string, value: string | undefined] => {
  const cut = value.indexOf('=')
  return cut < 0 ? [value, undefined] : [value.slice(0, cut), value.slice(cut + 1)]
}

/**
 * Fields of one record of CSV, as docker run reads `--mount`, `--network` and `--gpus`.
 * @returns undefined: a quote is where none can be
 */
export const splitFields = (value: string): string[] | undefined => {
  const fields: string[] = []
  let rest = value
  for (;;) {
    const match = /^(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/.exec(rest)
    if (match === null) return undefined
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '') return fields
    rest = rest.slice(match[0].length)
  }
}
