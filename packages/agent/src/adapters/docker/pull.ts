// `POST /images/create`: reads the stream of a pull, sums the bytes of its layers, and ends it when nothing moves
// any more. The Engine answers 200 before it knows anything: an error is a line of the stream.
import type { Digest } from '@longshore/protocol'
import * as z from 'zod'
import { EngineError } from '../../engine-error.ts'
import type { Engine } from '../../ports.ts'
import type { DockerClient } from './client.ts'
import { findTextCode, toEngineError } from './errors.ts'

type PullRequest = Parameters<Engine['pullImage']>[0]

const line = z.object({
  id: z.string().optional(),
  status: z.string().optional(),
  error: z.string().optional(),
  progressDetail: z.object({ current: z.number().optional(), total: z.number().optional() }).optional()
})

/** One JSON document per line; a longer line is no answer of Docker. */
const maxLineBytes = 256 * 1024

export const pullImage = async (
  client: DockerClient,
  registryAuth: { [key: string]: unknown } | undefined,
  request: PullRequest
): Promise<void> => {
  const stuck = new AbortController()
  const watchdog = createWatchdog(request.noProgressMs, () => stuck.abort())
  const signal = AbortSignal.any([stuck.signal, request.signal])
  try {
    const stream = await client.open(
      { method: 'POST', path: '/images/create', query: queryOf(request), subject: 'registry', registryAuth },
      signal
    )
    const stop = () => 'destroy' in stream && typeof stream.destroy === 'function' && stream.destroy()
    signal.addEventListener('abort', stop, { once: true })
    await readPull(stream, request, watchdog.isAlive)
    if (signal.aborted) throw new Error('the pull was ended')
  } catch (error) {
    if (stuck.signal.aborted)
      throw new EngineError(
        'no-progress',
        `pulling ${nameOf(request)}: nothing moved for ${request.noProgressMs} ms`
      )
    const known = toEngineError(error, 'registry')
    throw new EngineError(known.code, `pulling ${nameOf(request)}: ${known.message}`, { cause: error })
  } finally {
    watchdog.stop()
  }
}

const nameOf = (request: { repository: string; digest: Digest }): string =>
  `${request.repository}@${request.digest}`

const queryOf = (request: PullRequest): Record<string, string> => ({
  fromImage: request.repository,
  tag: request.digest,
  ...(request.platform === null ? {} : { platform: request.platform })
})

const readPull = async (
  stream: NodeJS.ReadableStream,
  request: PullRequest,
  isAlive: () => void
): Promise<void> => {
  const layers = new Map<string, { done: number; total: number }>()
  let rest = ''
  for await (const chunk of stream) {
    rest += String(chunk)
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > maxLineBytes) throw new EngineError('failed', 'the engine sent a line without an end')
    for (const text of lines) if (text.trim() !== '') takeLine(text, layers, request, isAlive)
  }
  if (rest.trim() !== '') takeLine(rest, layers, request, isAlive)
}

const takeLine = (
  text: string,
  layers: Map<string, { done: number; total: number }>,
  request: PullRequest,
  isAlive: () => void
): void => {
  const { id, status, error, progressDetail } = line.parse(JSON.parse(text))
  if (error !== undefined) throw new EngineError(findTextCode(error) ?? 'registry-unavailable', error)
  // A registry that is tried again and again makes lines, but no progress.
  if (status?.startsWith('Retrying') !== true) isAlive()
  if (id === undefined || status !== 'Downloading' || progressDetail?.total === undefined) return
  layers.set(id, { done: progressDetail.current ?? 0, total: progressDetail.total })
  const sums = [...layers.values()].reduce(
    (sum, one) => ({ done: sum.done + one.done, total: sum.total + one.total }),
    { done: 0, total: 0 }
  )
  request.onProgress(sums)
}

const createWatchdog = (limitMs: number, bark: () => void) => {
  let timer = setTimeout(bark, limitMs)
  return {
    isAlive: () => {
      clearTimeout(timer)
      timer = setTimeout(bark, limitMs)
    },
    stop: () => clearTimeout(timer)
  }
}
