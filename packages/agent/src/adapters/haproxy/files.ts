// The folder of HAProxy below the agent's data directory: which files there are, and how they are replaced: written
// beside, synced, renamed over, and the folder synced, so that a crash leaves the old one or the new one.
import { createHash } from 'node:crypto'
import { chmod, mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { storedRoutes } from '../../core/proxy/route-schema.ts'
import type { ServiceRoute } from '../../core/proxy/routes.ts'
import { parseJson } from '../../parse-json.ts'
import { ProxyError } from '../../proxy-error.ts'

export type ProxyFiles = ReturnType<typeof proxyFiles>

/** sun_path has 108 bytes, and HAProxy binds `PATH.PID.tmp` before it renames. */
const maxSocketPath = 92

export const proxyFiles = (folder: string) => {
  const files = {
    folder,
    routes: join(folder, 'routes.json'),
    config: join(folder, 'haproxy.cfg'),
    /** What is checked before it takes the place of the configuration. */
    candidate: join(folder, 'haproxy.cfg.new'),
    pems: join(folder, 'tls'),
    admin: join(folder, 'admin.sock'),
    /** Each start has a socket of its own to its master: one that was replaced is asked about its last clients. */
    masterOf: (start: number) => join(folder, `master-${start}.sock`),
    pid: join(folder, 'haproxy.pid')
  }
  if (files.masterOf(9_999).length > maxSocketPath)
    throw new ProxyError(
      'proxy-error',
      `${folder}: the path is too long for a socket; choose a shorter data directory`
    )
  return files
}

export const prepareFolder = async ({ folder, pems }: ProxyFiles): Promise<void> => {
  await orError(`${folder} cannot be made`, async () => {
    for (const dir of [folder, pems]) {
      await mkdir(dir, { recursive: true, mode: 0o700 })
      await chmod(dir, 0o700)
    }
  })
}

/** Starts whose master sockets are there, latest first; masters that are gone leave theirs. */
export const listStarts = async ({ folder }: ProxyFiles): Promise<number[]> => {
  const names = await readdir(folder).catch(() => [])
  const starts = names.flatMap((name) => /^master-(\d{1,9})\.sock$/.exec(name)?.[1] ?? [])
  return starts.map(Number).sort((a, b) => b - a)
}

/** @returns undefined: never written */
export const readRoutes = async ({ routes }: ProxyFiles): Promise<ServiceRoute[] | undefined> => {
  const text = await orError(`${routes} cannot be read`, () => readFile(routes, 'utf8').catch(nullIfMissing))
  if (text === null) return undefined
  const parsed = storedRoutes.safeParse(parseJson(text))
  if (parsed.success) return parsed.data.routes
  throw new ProxyError(
    'proxy-error',
    `${routes} is damaged; remove it and start the agent again: it routes anew what it finds in its journal`
  )
}

export const writeRoutes = (files: ProxyFiles, routes: readonly ServiceRoute[]): Promise<void> =>
  replaceFile(files.routes, `${JSON.stringify({ version: 1, routes }, null, 1)}\n`)

export const replaceFile = (path: string, content: string): Promise<void> =>
  orError(`${path} cannot be written`, async () => {
    await writeSynced(`${path}.part`, content)
    await moveFile(`${path}.part`, path)
  })

export const moveFile = async (from: string, to: string): Promise<void> => {
  await rename(from, to)
  const dir = await open(dirname(to), 'r')
  try {
    await dir.sync()
  } finally {
    await dir.close()
  }
}

const writeSynced = async (path: string, content: string): Promise<void> => {
  const file = await open(path, 'w', 0o600)
  try {
    await file.chmod(0o600)
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}

export const readText = (path: string): Promise<string | null> =>
  orError(`${path} cannot be read`, () => readFile(path, 'utf8').catch(nullIfMissing))

type Certificate = ServiceRoute['routing']['tls'][number]

/** Certificate and key of an entry lie together in a file of ours: HAProxy asks for that, and sees no other folder. */
export const pemPath = ({ pems }: ProxyFiles, { certificate, key }: Certificate): string => {
  const name = createHash('sha256')
    .update(`${certificate}\0${key ?? ''}`)
    .digest('hex')
  return join(pems, `${name.slice(0, 32)}.pem`)
}

const maxPemBytes = 256 * 1024

/** @returns certificate and key, without empty lines: in a runtime call one would end it */
export const readPem = async ({ certificate, key }: Certificate): Promise<string> => {
  const parts: string[] = []
  for (const path of key === null || key === certificate ? [certificate] : [certificate, key]) {
    const text = await orError(`the certificate file ${path} cannot be read`, async () => {
      const { size } = await stat(path)
      if (size > maxPemBytes) throw new Error(`it is larger than ${maxPemBytes} bytes`)
      return readFile(path, 'utf8')
    })
    parts.push(...text.split(/\r?\n/).filter((line) => line.trim() !== ''))
  }
  return `${parts.join('\n')}\n`
}

/** Changes whenever a file was written or replaced. */
export const stampOf = async (path: string): Promise<string> => {
  const found = await stat(path).catch(() => undefined)
  return found === undefined ? 'missing' : `${found.ino}.${found.size}.${found.mtimeMs}`
}

const nullIfMissing = (error: NodeJS.ErrnoException): null => {
  if (error.code === 'ENOENT') return null
  throw error
}

const orError = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof ProxyError) throw cause
    throw new ProxyError(
      'proxy-error',
      `${what}: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause }
    )
  }
}
