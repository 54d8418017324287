// The body of `GET /containers/ID/logs`: without a TTY, frames of an eight-byte header (stream, three zero
// bytes, length big-endian) and the text; with a TTY, the text alone.
/** @returns the last lines, oldest first; stops reading at 256 KiB */
export const readLogFrames = async (stream: NodeJS.ReadableStream, lines: number): Promise<string[]> => {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    chunks.push(bytes)
    sizeBytes += bytes.length
    if (sizeBytes > maxLogBytes) break
  }
  return splitLog(Buffer.concat(chunks)).slice(-lines)
}

const maxLogBytes = 256 * 1024
const headerBytes = 8

export const splitLog = (body: Buffer): string[] => {
  const text = isFramed(body) ? joinFrames(body) : body.toString()
  return text.split(/\r?\n/).filter((line) => line !== '')
}

const isFramed = (body: Buffer): boolean =>
  body.length >= headerBytes && (body[0] ?? 9) <= 2 && body[1] === 0 && body[2] === 0 && body[3] === 0

const joinFrames = (body: Buffer): string => {
  const parts: Buffer[] = []
  for (let at = 0; at + headerBytes <= body.length; ) {
    const length = body.readUInt32BE(at + 4)
    parts.push(body.subarray(at + headerBytes, at + headerBytes + length))
    at += headerBytes + length
  }
  return Buffer.concat(parts).toString()
}
