// A part of a file into an answer by way of two buffers that are used again and again: less than half of the work of a
// stream, which asks for new memory with every read.
import type { FileHandle } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import type { ByteRange } from '../../core/images/ranges.ts'

/** Each read costs a turn of the thread pool; a dozen layers at a time may be on their way to each host. */
const bufferBytes = 256 * 1024

/**
 * Ends the answer and closes the file, whatever happens.
 * @throws Error when whoever reads has gone, or the file breaks off
 */
export const pourFile = async (
  file: FileHandle,
  into: Writable,
  { first, last }: ByteRange
): Promise<void> => {
  const pen = openPen(into)
  const buffers = [Buffer.allocUnsafeSlow(bufferBytes), Buffer.allocUnsafeSlow(bufferBytes)] as const
  const written: [Promise<void>, Promise<void>] = [Promise.resolve(), Promise.resolve()]
  try {
    for (let [at, turn] = [first, 0 as 0 | 1]; at <= last; turn = turn === 0 ? 1 : 0) {
      await written[turn]
      const buffer = buffers[turn]
      const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, last - at + 1), at)
      if (bytesRead === 0) throw new Error(`the file ends before byte ${at}`)
      at += bytesRead
      written[turn] = pen.write(buffer.subarray(0, bytesRead))
    }
    await Promise.all(written)
    into.end()
  } catch (error) {
    into.destroy()
    throw error
  } finally {
    await file.close()
  }
}

/** An answer whose reader goes away forgets the callbacks of its writes: nobody may wait for them. */
const openPen = (into: Writable): { write(bytes: Buffer): Promise<void> } => {
  const waiting = new Set<(error: Error) => void>()
  const gone = new Error('whoever reads has gone')
  into.on('error', () => {})
  into.once('close', () => {
    for (const reject of waiting) reject(gone)
  })
  return {
    write: (bytes) => {
      const done = new Promise<void>((resolve, reject) => {
        if (into.destroyed) return reject(gone)
        waiting.add(reject)
        into.write(bytes, (error) => {
          waiting.delete(reject)
          if (error) reject(error)
          else resolve()
        })
      })
      // it is waited for one turn later
      done.catch(() => {})
      return done
    }
  }
}
