// docs/errors.md and the code name the same error codes, family by family.
import { readFileSync } from 'node:fs'
import { protocolErrors, refusalCodes, runErrorCodes } from '@longshore/protocol'
import t from 'tap'
import { apiErrors } from '../../../packages/controller/src/api/errors.ts'

const text = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')

/** Rows of the table below a heading: code, meaning, what to do. */
const rowsBelow = (heading: string): string[][] => {
  const section = text.split('\n## ').find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    )
}

const families: Record<string, readonly string[]> = {
  'Protocol codes': Object.keys(protocolErrors),
  'Run codes': runErrorCodes,
  'Refusal codes': refusalCodes,
  'API codes': Object.keys(apiErrors)
}
for (const [heading, codes] of Object.entries(families)) {
  t.test(`the table of ${heading} has every code once, with a meaning and an advice`, (t) => {
    const rows = rowsBelow(heading)
    t.same(rows.map(([code]) => code?.replaceAll('`', '')).sort(), [...codes].sort())
    t.ok(rows.every((cells) => cells.length === 3 && cells.every((cell) => cell.length > 3)))
    t.end()
  })
}
