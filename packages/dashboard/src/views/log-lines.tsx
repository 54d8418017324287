// The lines of a log. Whoever is at the end stays at the end; whoever has scrolled up is left in peace. Only blocks that
// changed are drawn again, and the browser lays out only those in sight.
import { Component } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { LogBlock, LogBook, LogLine, LogRow } from '../core/log-book.ts'
import { cutAtFinds, fits } from '../core/log-search.ts'

export type LogLooks = { readonly isWrapped: boolean; readonly hasTimes: boolean }
type Shown = LogLooks & { book: LogBook; needle: string }

/** Hosts look different up to so many; the name stands there always. */
const hostLooks = 6
const endPx = 24

export const LogLines = ({ book, needle, isWrapped, hasTimes }: Shown) => {
  const box = useRef<HTMLDivElement>(null)
  const content = useRef<HTMLDivElement>(null)
  const [isAtEnd, setIsAtEnd] = useState(true)
  const stays = useRef(true)
  const goToEnd = (): void => {
    if (box.current !== null && stays.current) box.current.scrollTop = box.current.scrollHeight
  }
  const look = (): void => {
    if (box.current === null) return
    const { scrollTop, clientHeight, scrollHeight } = box.current
    stays.current = scrollHeight - scrollTop - clientHeight <= endPx
    setIsAtEnd(stays.current)
  }
  useLayoutEffect(goToEnd)
  useEffect(() => {
    // blocks get their real height when they come into sight
    const observer = new ResizeObserver(goToEnd)
    if (content.current !== null) observer.observe(content.current)
    if (box.current !== null) observer.observe(box.current)
    return () => observer.disconnect()
  }, [])
  const looks = `log ${isWrapped ? 'wrapped' : ''} ${hasTimes ? 'with-times' : ''}`
  return (
    <>
      <div
        ref={box}
        class={looks}
        role="log"
        // thousands of lines a second would be read aloud; how it is with the log is said in a status
        aria-live="off"
        aria-label="Lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: whatever scrolls has to be reachable by keyboard
        tabIndex={0}
        style={{ '--prefix': `${Math.min(24, book.prefixChars)}ch` }}
        onScroll={look}
      >
        <div ref={content}>
          {book.shown.blocks.map((block) => (
            <Block key={block.key} block={block} needle={needle} />
          ))}
        </div>
      </div>
      {!isAtEnd && (
        <button
          type="button"
          class="to-end"
          onClick={() => {
            stays.current = true
            goToEnd()
            box.current?.focus()
          }}
        >
          To the end
        </button>
      )}
    </>
  )
}

type BlockShown = { block: LogBlock; needle: string }

class Block extends Component<BlockShown> {
  override shouldComponentUpdate(next: BlockShown): boolean {
    return next.block !== this.props.block || next.needle !== this.props.needle
  }

  override render({ block, needle }: BlockShown) {
    const rows = block.rows.filter((row) => fits(row, needle))
    return (
      <div class="log-block">
        {rows.map((row) => (
          <Row key={row.key} row={row} needle={needle} />
        ))}
      </div>
    )
  }
}

const Row = ({ row, needle }: { row: LogRow; needle: string }) =>
  row.kind === 'notice' ? <div class="log-notice">{row.text}</div> : <Line line={row} needle={needle} />

const Line = ({ line, needle }: { line: LogLine; needle: string }) => (
  <div class={line.isStderr ? 'log-line stderr' : 'log-line'}>
    <span class={`log-host look-${line.hostNumber % hostLooks}`}>{line.prefix}</span>{' '}
    <span class="log-time">{line.time === null ? '-' : `${line.time.slice(11, 23)}Z`} </span>
    {line.isStderr && <span class="log-stderr">err </span>}
    <span class="log-text">
      {cutAtFinds(line.text, needle).map((part, index) =>
        index % 2 === 1 ? <mark key={index}>{part}</mark> : part
      )}
      {line.isCut && <span class="dim"> […]</span>}
    </span>
  </div>
)
