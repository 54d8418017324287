// A list of thousands of rows of one height, of which only those in sight are in the document. Arrow keys, Page Up
// and Down, Home and End move through it; Tab goes through the links of the rows.
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { rowAfterKey, scrollToRow, visibleRows } from '../core/visible-rows.ts'

type Rows = {
  label: string
  count: number
  rowHeight: number
  keyOf: (index: number) => string
  /** Has one link or button, the row's own; headings have none. */
  row: (index: number) => ComponentChildren
}

export const LongList = ({ label, count, rowHeight, keyOf, row }: Rows) => {
  const box = useRef<HTMLElement>(null)
  const [place, setPlace] = useState({ scrollTop: 0, height: 600 })
  const [focused, setFocused] = useState<number | null>(null)
  const wanted = useRef<number | null>(null)
  const look = (): void => {
    if (box.current === null) return
    const { scrollTop, clientHeight: height } = box.current
    setPlace((last) =>
      last.scrollTop === scrollTop && last.height === height ? last : { scrollTop, height }
    )
  }
  useLayoutEffect(look, [count])
  useEffect(() => {
    const observer = new ResizeObserver(look)
    if (box.current !== null) observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  useLayoutEffect(() => {
    if (wanted.current === null) return
    const target = box.current?.querySelector<HTMLElement>(`[data-row="${wanted.current}"]`)
    wanted.current = null
    const own = target?.querySelector<HTMLElement>('a, button') ?? target
    own?.focus({ preventScroll: true })
  })
  const press = (event: KeyboardEvent): void => {
    const perPage = Math.max(1, Math.floor(place.height / rowHeight) - 1)
    const next = rowAfterKey(event.key, focused ?? Math.ceil(place.scrollTop / rowHeight) - 1, perPage, count)
    if (next === null || box.current === null) return
    event.preventDefault()
    wanted.current = next
    setFocused(next)
    box.current.scrollTop = scrollToRow(next, { ...place, rowHeight })
    look()
  }
  const rows = visibleRows({ ...place, rowHeight, count, focused })
  return (
    <section
      class="long-list"
      aria-label={label}
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: whatever scrolls has to be reachable by keyboard
      tabIndex={0}
      onScroll={look}
      onKeyDown={press}
      onFocusIn={({ target }) => {
        const own = (target as HTMLElement).closest<HTMLElement>('[data-row]')?.dataset['row']
        setFocused(own === undefined ? null : Number(own))
      }}
    >
      <ul style={{ height: `${count * rowHeight}px` }}>
        {rows.map((index) => (
          <li
            key={keyOf(index)}
            data-row={index}
            tabIndex={-1}
            aria-posinset={index + 1}
            aria-setsize={count}
            style={{ top: `${index * rowHeight}px`, height: `${rowHeight}px` }}
          >
            {row(index)}
          </li>
        ))}
      </ul>
    </section>
  )
}
