// The body of an answer, with a limit, or piece by piece; a connection that breaks off is told as an UpstreamError.
import type { IncomingMessage } from 'node:http'
import { UpstreamError } from '../../core/images/upstream-error.ts'

/** @throws UpstreamError `registry-corrupt` when it is longer */
export const readLimited = async (answer: IncomingMessage, maxBytes: number): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of withFailures(answer)) {
    bytes += chunk.length
    if (bytes > maxBytes)
      throw new UpstreamError('registry-corrupt', `an answer of more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

export async function* withFailures(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk as Uint8Array
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new UpstreamError('registry-unreachable', detail, { cause })
  }
}
