// How a running controller is asked from beside it: a socket in its data directory, so that whoever may read the data
// may ask, and nobody else. It tells its health, and makes a copy of the database that it holds.
import { type FileHandle, open, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import * as z from 'zod'
import type { Log } from '../../ports.ts'

const socketName = 'local.sock'
const maxLineChars = 8192

const answer = z.union([z.object({ ok: z.string() }), z.object({ failed: z.string() })])
type Answer = z.infer<typeof answer>

export type LocalServices = {
  /** One line. @throws when the controller is of no use at the moment */
  health(): Promise<string>
  /** @returns path of the copy, and what removes it */
  copy(signal: AbortSignal): Promise<{ path: string; remove(): Promise<void> }>
}
export type LocalServer = { stop(): Promise<void> }

/** By the open directory: a socket's own path has at most 107 characters (unix(7)). */
const socketIn = (folder: FileHandle): string => `/proc/self/fd/${folder.fd}/${socketName}`

/** To be called by whoever holds the database. Where there can be no socket, the controller works without. */
export const serveLocal = async (
  dataDir: string,
  services: LocalServices,
  log: Log
): Promise<LocalServer> => {
  const clients = new Set<Socket>()
  const working = new Set<Promise<void>>()
  const server = createServer((client) => {
    clients.add(client)
    const work = serve(client, services).catch((error: unknown) => log.warn({ err: error }, 'asked locally'))
    working.add(work)
    void work.finally(() => {
      clients.delete(client)
      working.delete(work)
    })
  })
  let folder: FileHandle | undefined
  try {
    folder = await open(dataDir, 'r')
    const path = socketIn(folder)
    // what a killed controller left
    await rm(join(dataDir, socketName), { force: true })
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  } catch (error) {
    log.warn({ err: error }, 'no health and no backup can be asked for while this controller runs')
  }
  return {
    stop: async () => {
      server.close()
      for (const client of clients) client.destroy()
      await Promise.all(working)
      await folder?.close()
    }
  }
}

const serve = async (client: Socket, { health, copy }: LocalServices): Promise<void> => {
  const gone = new AbortController()
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()))
  void closed.then(() => gone.abort())
  client.on('error', () => {})
  const say = (said: Answer): unknown => client.write(`${JSON.stringify(said)}\n`)
  const question = await readLine(client)
  try {
    if (question === 'health') say({ ok: await health() })
    if (question === 'copy') {
      const { path, remove } = await copy(gone.signal)
      say({ ok: path })
      // the copy is there for as long as its reader is
      await closed
      await remove()
    }
  } catch (error) {
    say({ failed: error instanceof Error ? error.message : String(error) })
  } finally {
    client.end()
  }
}

/** The first line; undefined: the connection ended before. */
const readLine = (socket: Socket): Promise<string | undefined> =>
  new Promise((resolve) => {
    let read = ''
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      read = (read + text).slice(0, maxLineChars)
      const [line, rest] = read.split('\n', 2)
      if (rest !== undefined) resolve(line)
    })
    socket.once('close', () => resolve(undefined))
  })

/** Who was asked: `close` lets a copy go. */
export type LocalAnswer = { text: string; close(): void }

/**
 * @param limitMs null: as long as it takes
 * @returns undefined when no controller runs on the directory, or one without a socket
 * @throws Error with what the controller said, or that it says nothing
 */
export const askLocal = async (
  dataDir: string,
  question: 'health' | 'copy',
  limitMs: number | null
): Promise<LocalAnswer | undefined> => {
  const folder = await open(dataDir, 'r')
  const client = connect(socketIn(folder))
  const timer = limitMs === null ? undefined : setTimeout(() => client.destroy(), limitMs)
  try {
    await new Promise<void>((resolve, reject) => client.once('connect', resolve).once('error', reject))
    client.on('error', () => {})
    client.write(`${question}\n`)
    const line = await readLine(client)
    if (line === undefined) throw new Error(`the controller on ${dataDir} does not answer`)
    const said = answer.parse(JSON.parse(line))
    if ('failed' in said) throw new Error(said.failed)
    return { text: said.ok, close: () => client.destroy() }
  } catch (error) {
    client.destroy()
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined
    throw error
  } finally {
    clearTimeout(timer)
    await folder.close()
  }
}
