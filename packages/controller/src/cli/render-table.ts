// Tables of plain text: columns as wide as their widest cell, two blanks between them. Pure.
import { formatText } from './format-values.ts'
import { padColumns, widthOf } from './text-width.ts'

/** Colours one cell; gets the padded text. */
export type Paint = (padded: string, column: number, cell: string) => string

/**
 * @param cells rows of text; control characters in them become blanks
 * @returns lines with a line feed each; the last column is not padded
 */
export function renderTable(head: readonly string[], cells: readonly string[][], paint?: Paint): string {
  const rows = cells.map((row) => row.map(formatText))
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => widthOf(row[column] ?? '')))
  )
  const line = (row: readonly string[], painted: boolean): string =>
    row
      .map((cell, column) => {
        const padded = column === row.length - 1 ? cell : padColumns(cell, widths[column] ?? 0)
        return painted && paint !== undefined ? paint(padded, column, cell) : padded
      })
      .join('  ')
      .trimEnd()
  return `${[line(head, false), ...rows.map((row) => line(row, true))].join('\n')}\n`
}
