// The lines that the page keeps of a log, and those that wait while it is paused: both bounded, both in blocks, so that
// a new line draws one block again and no more.
import type { LogEvent } from '@longshore/controller/api'
import { describeLogEvent } from '@longshore/controller/log-words'
import { cleanLine } from './clean-line.ts'

export type LogLine = {
  readonly kind: 'line'
  readonly key: number
  /** In the order in which hosts were first heard of. */
  readonly hostNumber: number
  /** The host, with its replica where it has several. */
  readonly prefix: string
  /** By the host's clock. */
  readonly time: string | null
  readonly text: string
  readonly isStderr: boolean
  readonly isCut: boolean
}
export type LogNotice = { readonly kind: 'notice'; readonly key: number; readonly text: string }
export type LogRow = LogLine | LogNotice

export type LogBlock = { readonly key: number; readonly rows: readonly LogRow[] }
export type LogPile = {
  readonly blocks: readonly LogBlock[]
  /** Of all blocks; `lines` without what is said about hosts. */
  readonly rows: number
  readonly lines: number
  readonly chars: number
  /** Lines that were in it and had to go. */
  readonly dropped: number
}
export type HostReading = {
  readonly number: number
  readonly state: (LogEvent & { type: 'host' })['state'] | null
  readonly detail: string
}
export type LogBook = {
  readonly shown: LogPile
  readonly waiting: LogPile
  readonly isPaused: boolean
  readonly hosts: ReadonlyMap<string, HostReading>
  /** Host -> container -> replica. */
  readonly replicas: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** Of the longest prefix. */
  readonly prefixChars: number
  readonly lastKey: number
}

const emptyPile: LogPile = { blocks: [], rows: 0, lines: 0, chars: 0, dropped: 0 }
export const emptyBook: LogBook = {
  shown: emptyPile,
  waiting: emptyPile,
  isPaused: false,
  hosts: new Map(),
  replicas: new Map(),
  prefixChars: 0,
  lastKey: 0
}

const rowsPerBlock = 100
/** What a browser draws without effort, and a person still scrolls through. */
const maxShown = { rows: 5000, chars: 4 * 1024 * 1024 }
/** Then the page takes no more until it goes on. */
const maxWaiting = { rows: 5000, chars: 2 * 1024 * 1024 }

/** Nothing may be added now: what waits would pass its bound. */
export const isFull = ({ isPaused, waiting }: LogBook): boolean =>
  isPaused && (waiting.rows >= maxWaiting.rows || waiting.chars >= maxWaiting.chars)

export const addEvents = (book: LogBook, events: readonly LogEvent[]): LogBook => {
  const draft = beginDraft(book)
  for (const event of events) addEvent(draft, event)
  return endDraft(book, draft)
}

/** @param text said by the page itself */
export const addNotice = (book: LogBook, text: string): LogBook => {
  const draft = beginDraft(book)
  addRow(draft, { kind: 'notice', key: 0, text })
  return endDraft(book, draft)
}

export const pauseBook = (book: LogBook): LogBook => ({ ...book, isPaused: true })

export const resumeBook = (book: LogBook): LogBook => {
  const rows = book.waiting.blocks.flatMap((block) => block.rows)
  return { ...book, isPaused: false, waiting: emptyPile, shown: trim(append(book.shown, rows)) }
}

type Draft = {
  rows: LogRow[]
  lastKey: number
  hosts: Map<string, HostReading>
  replicas: Map<string, ReadonlyMap<string, number>>
  prefixChars: number
}

const beginDraft = ({ lastKey, hosts, replicas, prefixChars }: LogBook): Draft => ({
  rows: [],
  lastKey,
  hosts: new Map(hosts),
  replicas: new Map(replicas),
  prefixChars
})

const endDraft = (book: LogBook, { rows, ...rest }: Draft): LogBook =>
  book.isPaused
    ? { ...book, ...rest, waiting: append(book.waiting, rows) }
    : { ...book, ...rest, shown: trim(append(book.shown, rows)) }

const addRow = (draft: Draft, row: LogRow): void => {
  draft.lastKey += 1
  draft.rows.push({ ...row, key: draft.lastKey })
}

const addEvent = (draft: Draft, event: LogEvent): void => {
  const text = isKnown(draft, event) ? null : wordsOf(event)
  if (text !== null) addRow(draft, { kind: 'notice', key: 0, text })
  if (event.type === 'end') return
  const { number } = noteHost(draft, event)
  if (event.type === 'container') noteContainer(draft, event)
  if (event.type !== 'line') return
  const { host, index, time, isCut } = event
  const hasSeveral = new Set(draft.replicas.get(host)?.values()).size > 1
  const prefix = cleanLine(index !== null && hasSeveral ? `${host}/${index + 1}` : host)
  draft.prefixChars = Math.max(draft.prefixChars, prefix.length)
  const isStderr = event.from === 'stderr'
  const line = { hostNumber: number, prefix, time, text: cleanLine(event.text), isStderr, isCut }
  addRow(draft, { kind: 'line', key: 0, ...line })
}

/** @returns null: it is a line, or goes without saying */
const wordsOf = (event: LogEvent): string | null =>
  event.type === 'end' ? 'Nothing more comes from any host.' : describeLogEvent(event, cleanLine)

/** It goes on after a lost connection. */
const isKnown = ({ replicas }: Draft, event: LogEvent): boolean =>
  event.type === 'container' &&
  event.state === 'begun' &&
  replicas.get(event.host)?.has(event.container) === true

const noteContainer = ({ replicas }: Draft, event: LogEvent & { type: 'container' }): void => {
  const own = new Map(replicas.get(event.host))
  if (event.state === 'begun') own.set(event.container, event.index ?? 0)
  else own.delete(event.container)
  replicas.set(event.host, own)
}

const noteHost = ({ hosts }: Draft, event: Exclude<LogEvent, { type: 'end' }>): HostReading => {
  const known = hosts.get(event.host) ?? { number: hosts.size, state: null, detail: '' }
  const noted = event.type === 'host' ? { ...known, state: event.state, detail: event.detail } : known
  hosts.set(event.host, noted)
  return noted
}

const charsOf = (rows: readonly LogRow[]): number => rows.reduce((sum, { text }) => sum + text.length, 0)

const linesOf = (rows: readonly LogRow[]): number => rows.filter(({ kind }) => kind === 'line').length

const append = (pile: LogPile, rows: readonly LogRow[]): LogPile => {
  if (rows.length === 0) return pile
  const blocks = [...pile.blocks]
  let begin = 0
  while (begin < rows.length) {
    const last = blocks.at(-1)
    const open = last !== undefined && last.rows.length < rowsPerBlock ? last : undefined
    const part = rows.slice(begin, begin + rowsPerBlock - (open?.rows.length ?? 0))
    begin += part.length
    if (open === undefined) blocks.push({ key: part[0]?.key ?? 0, rows: part })
    else blocks[blocks.length - 1] = { key: open.key, rows: [...open.rows, ...part] }
  }
  return {
    ...pile,
    blocks,
    rows: pile.rows + rows.length,
    lines: pile.lines + linesOf(rows),
    chars: pile.chars + charsOf(rows)
  }
}

/** The oldest blocks go. */
const trim = (pile: LogPile): LogPile => {
  let { rows, lines, chars, dropped } = pile
  let gone = 0
  for (const block of pile.blocks.slice(0, -1)) {
    if (rows <= maxShown.rows && chars <= maxShown.chars) break
    gone += 1
    rows -= block.rows.length
    chars -= charsOf(block.rows)
    lines -= linesOf(block.rows)
    dropped += linesOf(block.rows)
  }
  return gone === 0 ? pile : { blocks: pile.blocks.slice(gone), rows, lines, chars, dropped }
}
