// Which rows of a long list are in the document: those that can be seen, some before and after them for the
// keyboard, and the one that has the focus, wherever it is.

export type ListWindow = {
  readonly scrollTop: number
  readonly height: number
  readonly rowHeight: number
  readonly count: number
  readonly focused: number | null
}

/** So many more at each end: Tab and Shift+Tab find the next one. */
const spare = 6

/** @returns indices, ascending */
export const visibleRows = ({ scrollTop, height, rowHeight, count, focused }: ListWindow): number[] => {
  const first = Math.max(0, Math.floor(scrollTop / rowHeight) - spare)
  const end = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + spare)
  const rows = Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index)
  if (focused === null || focused < 0 || focused >= count || (focused >= first && focused < end)) return rows
  return focused < first ? [focused, ...rows] : [...rows, focused]
}

/** @returns where a key leads from the focused row; null: the key does not move */
export const rowAfterKey = (key: string, from: number, perPage: number, count: number): number | null => {
  const steps: Record<string, number> = {
    ArrowDown: 1,
    ArrowUp: -1,
    PageDown: perPage,
    PageUp: -perPage,
    Home: -count,
    End: count
  }
  const step = steps[key]
  if (step === undefined || count === 0) return null
  return Math.min(count - 1, Math.max(0, from + step))
}

/** @returns how far to scroll so that the row is wholly seen */
export const scrollToRow = (
  row: number,
  { scrollTop, height, rowHeight }: Pick<ListWindow, 'scrollTop' | 'height' | 'rowHeight'>
): number => {
  const top = row * rowHeight
  if (top < scrollTop) return top
  return top + rowHeight > scrollTop + height ? top + rowHeight - height : scrollTop
}
