// One line to one of HAProxy's sockets and its whole answer. HAProxy answers at once and closes; what takes longer,
// or is larger than any answer can be, is an error.
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { ProxyError } from '../../proxy-error.ts'

/** A worker that is busy with a thousand connections answers in milliseconds. */
const limitMs = 10_000
/** `show sess` of ten thousand sessions is 5 MB. */
const maxAnswerBytes = 64 * 1024 * 1024

/** @param line commands joined by `;`; a payload may follow the last one, with an empty line at its end */
export const askSocket = (path: string, line: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const socket = connect(path)
    const fail = (why: string, cause?: unknown): void => {
      clearTimeout(limit)
      socket.destroy()
      reject(new ProxyError('proxy-error', `HAProxy on ${path}: ${why}`, { cause }))
    }
    const limit = setTimeout(() => fail(`no answer in ${limitMs} ms`), limitMs)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > maxAnswerBytes) fail('an answer without end')
    })
    socket.once('error', (error) => fail(error.message, error))
    socket.once('close', () => fail('closed without an answer'))
    socket.once('end', () => {
      if (bytes === 0) return fail('closed without an answer')
      clearTimeout(limit)
      socket.destroy()
      resolve(Buffer.concat(chunks).toString('utf8'))
    })
    // the half-close ends a conversation with the master too, which would wait for more
    socket.end(`${line}\n`)
  })

/** Whether nobody listens there: the process is gone, or never was. */
export const isNobodyThere = (error: unknown): boolean =>
  error instanceof ProxyError &&
  error.cause instanceof Error &&
  'code' in error.cause &&
  (error.cause.code === 'ECONNREFUSED' || error.cause.code === 'ENOENT')

/** Holds a connection without saying anything: it ends with the process, however that ends. */
export const watchSocket = (path: string, ended: () => void): (() => void) => {
  const socket = connect(path)
  const close = (): void => {
    socket.removeAllListeners('close')
    socket.destroy()
  }
  socket.on('error', () => {})
  socket.once('close', ended)
  socket.unref()
  return close
}

/** A socket file that nothing listens on any more. */
export const removeIfDead = (path: string): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve()
    })
    socket.once('error', (error) => {
      const isDead = 'code' in error && error.code === 'ECONNREFUSED'
      resolve(isDead ? rm(path, { force: true }) : undefined)
    })
  })
