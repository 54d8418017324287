// Whether the agent lives, for whoever looks from beside it: a socket in its data directory that answers as long as
// its loop turns. A process that hangs or is stopped takes the connection and says nothing.
import { type FileHandle, open, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Log } from '../link.ts'

const socketName = 'health.sock'
const answerLimitMs = 3_000

/** By the open directory: a socket's own path has at most 107 characters (unix(7)). */
const socketIn = (folder: FileHandle): string => `/proc/self/fd/${folder.fd}/${socketName}`

/**
 * Answers until the process ends. Where it cannot, on a file system without sockets, the agent works without.
 * @param tell one line
 */
export const serveHealth = async (dataDir: string, tell: () => string, log: Log): Promise<void> => {
  try {
    const folder = await open(dataDir, 'r')
    // what a killed agent left: the lock of the directory is ours
    await rm(join(dataDir, socketName), { force: true })
    const server = createServer((client) => client.on('error', () => {}).end(`${tell()}\n`))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(socketIn(folder), resolve)
    })
    server.unref()
  } catch (error) {
    log.warn({ err: error }, 'nobody can ask for the health of this agent')
  }
}

export type Health = { isHealthy: boolean; words: string }

/** Asks the agent that uses the directory. Never rejects. */
export const askHealth = async (dataDir: string): Promise<Health> => {
  const late = AbortSignal.timeout(answerLimitMs)
  try {
    const folder = await open(dataDir, 'r')
    const client = connect({ path: socketIn(folder), signal: late })
    const words = (await text(client)).trim()
    await folder.close()
    return { isHealthy: words !== '', words: words || 'the agent gave no answer' }
  } catch (error) {
    const why = late.aborted ? 'no answer' : error instanceof Error ? error.message : String(error)
    return { isHealthy: false, words: `the agent on ${dataDir} does not answer: ${why}` }
  }
}
