// From the bytes of `GET /containers/ID/logs?timestamps=1` to lines: without a terminal frames of an eight-byte header
// (stream, three zero bytes, length big-endian) and text, with a terminal the text alone; each line begins with its
// time. Memory is bounded by the longest line that is kept, whatever lengths a header claims.
import { cutLogText, type LogLine, limits, logTime } from '@longshore/protocol'

export type DecodedLine = Pick<LogLine, 'from' | 'time' | 'text'> & { isCut: boolean }
/** Called with each line while it is decoded: nothing is gathered for lines that nobody wants. */
export type TellLine = (line: DecodedLine) => void

export type LogDecoder = {
  /** Bytes as they came, cut anywhere. */
  read(chunk: Uint8Array, tell: TellLine): void
  /** The same, for lines that nobody can take. @returns how many lines ended in it */
  skip(chunk: Uint8Array): number
  /** What came without an end of line is a line too. */
  end(tell: TellLine): void
}

const headerBytes = 8
const newline = 0x0a
/** `2026-01-31T12:00:00.123456789Z ` */
const timeChars = 30
const maxOpenBytes = limits.maxLogLineBytes + timeChars + 1
const froms = ['stdout', 'stdout', 'stderr'] as const

/** A line whose end has not come: its first bytes, and whether there were more. */
type OpenLine = { parts: Uint8Array[]; bytes: number; isCut: boolean }
const noLine = (): OpenLine => ({ parts: [], bytes: 0, isCut: false })

/** @param isTty as the container was created: the bytes do not say it */
export const createLogDecoder = (isTty: boolean): LogDecoder => {
  const open = new Map<LogLine['from'], OpenLine>()
  const header = new Uint8Array(headerBytes)
  let headerLength = 0
  let frameLeft = 0
  let from: LogLine['from'] = isTty ? 'tty' : 'stdout'

  /** Calls back with each piece of text; pieces are cut where frames and chunks are. */
  const walk = (chunk: Uint8Array, take: (piece: Uint8Array) => void): void => {
    if (isTty) take(chunk)
    let at = isTty ? chunk.length : 0
    while (at < chunk.length) {
      if (frameLeft === 0) {
        header[headerLength] = chunk[at] ?? 0
        headerLength += 1
        at += 1
        if (headerLength < headerBytes) continue
        headerLength = 0
        from = froms[header[0] ?? 0] ?? 'stdout'
        frameLeft = new DataView(header.buffer).getUint32(4)
        continue
      }
      const piece = chunk.subarray(at, at + frameLeft)
      frameLeft -= piece.length
      at += piece.length
      take(piece)
    }
  }
  const takeText = (piece: Uint8Array, tell: TellLine): void => {
    let begin = 0
    for (;;) {
      const end = piece.indexOf(newline, begin)
      const line = open.get(from) ?? noLine()
      if (end < 0) return void open.set(from, lengthened(line, piece.subarray(begin)))
      open.delete(from)
      tell(finished(lengthened(line, piece.subarray(begin, end)), from))
      begin = end + 1
    }
  }
  return {
    read: (chunk, tell) => walk(chunk, (piece) => takeText(piece, tell)),
    skip: (chunk) => {
      let lines = 0
      walk(chunk, (piece) => {
        for (let at = piece.indexOf(newline); at >= 0; at = piece.indexOf(newline, at + 1)) lines += 1
        const last = piece.lastIndexOf(newline)
        const line = last >= 0 ? noLine() : (open.get(from) ?? noLine())
        open.set(from, lengthened(line, piece.subarray(last + 1)))
      })
      return lines
    },
    end: (tell) => {
      for (const [of, line] of open) if (line.bytes > 0) tell(finished(line, of))
      open.clear()
    }
  }
}

const lengthened = (line: OpenLine, piece: Uint8Array): OpenLine => {
  const room = maxOpenBytes - line.bytes
  const kept = piece.subarray(0, room)
  // a copy: the piece is part of a chunk that would be held in memory for it
  if (kept.length > 0) line.parts.push(kept.slice())
  line.bytes += kept.length
  line.isCut ||= kept.length < piece.length
  return line
}

const decoder = new TextDecoder()

const finished = ({ parts, bytes, isCut }: OpenLine, from: LogLine['from']): DecodedLine => {
  const whole = decoder.decode(joined(parts, bytes)).replace(/\r$/, '')
  const stamp = whole.slice(0, timeChars)
  const isStamped = whole[timeChars] === ' ' && logTime.safeParse(stamp).success
  const text = isStamped ? whole.slice(timeChars + 1) : whole
  const cut = cutLogText(text)
  return { from, time: isStamped ? stamp : null, text: cut.text, isCut: isCut || cut.isCut }
}

const joined = (parts: readonly Uint8Array[], bytes: number): Uint8Array => {
  const [first] = parts
  if (parts.length === 1 && first !== undefined) return first
  const all = new Uint8Array(bytes)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
