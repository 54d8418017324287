// The body of `GET /containers/ID/logs`: without a TTY, frames of an eight-byte header (stream, three zero
// bytes, length big-endian) and the text; with a TTY, the text alone.
import { StringDecoder } from 'node:string_decoder'

/** @returns the last lines, oldest first, each cut behind `maxOpenLineChars`: memory is bounded, not what is read */
export const readLogFrames = async (stream: NodeJS.ReadableStream, lines: number): Promise<string[]> => {
  const reader = new LineReader('cut')
  let last: string[] = []
  for await (const chunk of stream) last = [...last, ...reader.read(Buffer.from(chunk))].slice(-lines)
  return [...last, ...reader.end()].slice(-lines)
}

/** Tells whole lines as they come; the last one also without its end. */
export const followLogFrames = async (
  stream: NodeJS.ReadableStream,
  tell: (lines: string[]) => void
): Promise<void> => {
  const lines = new LineReader()
  for await (const chunk of stream) {
    const whole = lines.read(Buffer.from(chunk))
    if (whole.length > 0) tell(whole)
  }
  const rest = lines.end()
  if (rest.length > 0) tell(rest)
}

/** A line that never ends is told in pieces of about this many characters, or cut behind them. */
const maxOpenLineChars = 8 * 1024

/** Turns the bytes of a log into lines, wherever they are cut. */
export class LineReader {
  #bytes: Buffer = Buffer.alloc(0)
  #isFramed: boolean | undefined
  readonly #texts = new Map<number, { decoder: StringDecoder; open: string }>()
  readonly #longLines: 'in-pieces' | 'cut'

  constructor(longLines: 'in-pieces' | 'cut' = 'in-pieces') {
    this.#longLines = longLines
  }

  read(chunk: Buffer): string[] {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.#isFramed === undefined && this.#bytes.length < headerBytes) return []
    this.#isFramed ??= isFramed(this.#bytes)
    if (this.#isFramed) return this.#readFrames()
    const bytes = this.#bytes
    this.#bytes = Buffer.alloc(0)
    return this.#readText(0, bytes)
  }

  end(): string[] {
    // Shorter than a header: no frame, so text.
    const short = this.#isFramed === undefined ? this.#readText(0, this.#bytes) : []
    return [...short, ...[...this.#texts.values()].map(({ open }) => open).filter((line) => line !== '')]
  }

  #readFrames(): string[] {
    const lines: string[] = []
    for (;;) {
      if (this.#bytes.length < headerBytes) return lines
      const end = headerBytes + this.#bytes.readUInt32BE(4)
      if (this.#bytes.length < end) return lines
      lines.push(...this.#readText(this.#bytes[0] ?? 0, this.#bytes.subarray(headerBytes, end)))
      this.#bytes = this.#bytes.subarray(end)
    }
  }

  /** Each stream has its own open line: a frame may end in the middle of one. */
  #readText(stream: number, bytes: Buffer): string[] {
    const text = this.#texts.get(stream) ?? { decoder: new StringDecoder('utf8'), open: '' }
    const lines = (text.open + text.decoder.write(bytes)).split(/\r?\n/)
    const open = lines.pop() ?? ''
    if (this.#longLines === 'cut') {
      this.#texts.set(stream, { decoder: text.decoder, open: open.slice(0, maxOpenLineChars) })
      return lines.flatMap((line) => (line === '' ? [] : [line.slice(0, maxOpenLineChars)]))
    }
    const isTooLong = open.length > maxOpenLineChars
    this.#texts.set(stream, { decoder: text.decoder, open: isTooLong ? '' : open })
    return [...lines, ...(isTooLong ? [open] : [])].filter((line) => line !== '')
  }
}

const headerBytes = 8

const isFramed = (body: Buffer): boolean =>
  body.length >= headerBytes && (body[0] ?? 9) <= 2 && body[1] === 0 && body[2] === 0 && body[3] === 0
