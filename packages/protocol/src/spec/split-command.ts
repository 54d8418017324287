// Splits a command written as one text into arguments, as a POSIX shell would without expanding anything.
import { ValueError } from './read-value.ts'

/** Inside double quotes a backslash is special only before these (POSIX shell, 2.2.3). */
const escapable = new Set(['"', '\\', '$', '`'])

/** @throws ValueError for an open quote or a backslash at the end */
export const splitCommand = (text: string): string[] => {
  const words: string[] = []
  let word: string | undefined
  let quote: '"' | "'" | undefined
  for (let position = 0; position < text.length; position += 1) {
    const char = text[position] ?? ''
    const next = text[position + 1]
    if (quote === undefined && /\s/.test(char)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (quote === undefined && (char === '"' || char === "'")) {
      quote = char
      word ??= ''
    } else if (char === quote) quote = undefined
    else if (char === '\\' && quote !== "'" && (quote === undefined || escapable.has(next ?? ''))) {
      if (next === undefined) throw new ValueError('a backslash at the end escapes nothing')
      word = (word ?? '') + next
      position += 1
    } else word = (word ?? '') + char
  }
  if (quote !== undefined) throw new ValueError(`a quote (${quote}) is not closed`)
  if (word !== undefined) words.push(word)
  return words
}
