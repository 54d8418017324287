// Looks for a text in the lines that the page has, small and capital letters alike.
import type { LogBlock, LogPile, LogRow } from './log-book.ts'

/** @param needle in small letters; what is said about hosts always fits */
export const fits = (row: LogRow, needle: string): boolean =>
  needle === '' || row.kind === 'notice' || row.text.toLowerCase().includes(needle)

/** Blocks never change: what was counted once holds. */
let counted = { needle: '', of: new WeakMap<LogBlock, number>() }

/** @returns how many lines fit */
export const fitsIn = ({ blocks }: LogPile, needle: string): number => {
  if (counted.needle !== needle) counted = { needle, of: new WeakMap() }
  return blocks.reduce((sum, block) => {
    const known = counted.of.get(block)
    const count = known ?? block.rows.filter((row) => row.kind === 'line' && fits(row, needle)).length
    if (known === undefined) counted.of.set(block, count)
    return sum + count
  }, 0)
}

/** @returns the text cut at what was found: every second part is a find */
export const cutAtFinds = (text: string, needle: string): string[] => {
  const lower = text.toLowerCase()
  // some capital letters are more than one small one: then nothing is marked
  if (needle === '' || lower.length !== text.length) return [text]
  const parts: string[] = []
  let begin = 0
  for (let at = lower.indexOf(needle); at !== -1; at = lower.indexOf(needle, begin)) {
    parts.push(text.slice(begin, at), text.slice(at, at + needle.length))
    begin = at + needle.length
  }
  return [...parts, text.slice(begin)]
}
