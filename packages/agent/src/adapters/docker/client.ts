// One request to the Docker Engine: where it listens, which version of its API is spoken, how long a call may
// take, and its failures as EngineError. What is asked stands in the other files of this folder.
import Docker from 'dockerode'
import * as z from 'zod'
import { EngineError, isEngineError } from '../../engine-error.ts'
import { type Subject, toEngineError } from './errors.ts'

/** API of Engine 20.10, the oldest that is supported, and the newest whose answers were read. */
const oldestApi = [1, 41] as const
const newestApi = [1, 47] as const
/** Calls that only read or flip a field; a healthy engine answers in milliseconds. */
export const quickLimitMs = 15_000
/** Creating unpacks nothing but may wait for a volume driver; starting waits for network and runtime. */
export const slowLimitMs = 60_000

export type Request = {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  query?: Record<string, string>
  body?: { [key: string]: unknown }
  subject: Subject
  limitMs?: number
  registryAuth?: { [key: string]: unknown } | undefined
}

export type DockerClient = {
  /** Rejects with EngineError; resolves with the JSON of the answer. */
  call(request: Request): Promise<unknown>
  /** Resolves once the answer begins; the caller reads and destroys the stream. */
  open(request: Request, signal: AbortSignal): Promise<NodeJS.ReadableStream>
  /** Asks for the version of the engine and speaks it from now on. */
  negotiate(): Promise<void>
}

/** @param dockerHost as in DOCKER_HOST: `unix:///path` or `tcp://host:port` */
export const createDockerClient = (dockerHost: string | undefined): DockerClient => {
  const address = readDockerHost(dockerHost ?? 'unix:///var/run/docker.sock')
  const unversioned = new Docker(address)
  let versioned: Docker | undefined

  const negotiate = async (): Promise<void> => {
    const answer = await callWith(unversioned, { method: 'GET', path: '/version', subject: 'engine' })
    versioned = new Docker({ ...address, version: `v${chooseApi(answer)}` })
  }
  const current = async (): Promise<Docker> => {
    if (versioned === undefined) await negotiate()
    if (versioned === undefined) throw new EngineError('unreachable', 'no version was agreed with the engine')
    return versioned
  }
  return {
    negotiate,
    call: async (request) => callWith(await current(), request),
    open: async (request, signal) => openWith(await current(), request, signal)
  }
}

/** @throws EngineError for anything but unix and tcp */
export const readDockerHost = (text: string): Docker.DockerOptions => {
  if (text.startsWith('unix://')) return { socketPath: text.slice('unix://'.length) }
  if (text.startsWith('/')) return { socketPath: text }
  const match = /^tcp:\/\/(\[[0-9a-fA-F:]+\]|[^:/]+):(\d+)\/?$/.exec(text)
  if (match?.[1] === undefined || match[2] === undefined)
    throw new EngineError(
      'bad-request',
      `DOCKER_HOST ${text}: only unix:///path and tcp://host:port are known`
    )
  return { protocol: 'http', host: match[1].replace(/^\[|\]$/g, ''), port: Number(match[2]) }
}

const versionAnswer = z.object({ ApiVersion: z.string().regex(/^\d+\.\d+$/) })

/** min(engine, newest known); refuses engines below the floor. */
const chooseApi = (answer: unknown): string => {
  const [major = 0, minor = 0] = versionAnswer.parse(answer).ApiVersion.split('.').map(Number)
  if (major !== oldestApi[0] || minor < oldestApi[1])
    throw new EngineError(
      'too-old',
      `the engine speaks API ${major}.${minor}; ${oldestApi.join('.')} is needed`
    )
  return `${major}.${Math.min(minor, newestApi[1])}`
}

const callWith = async (docker: Docker, request: Request): Promise<unknown> => {
  const limitMs = request.limitMs ?? quickLimitMs
  const signal = AbortSignal.timeout(limitMs)
  const late = () =>
    new EngineError('timed-out', `${request.method} ${request.path}: no answer in ${limitMs} ms`)
  return new Promise((resolve, reject) => {
    // A connection that breaks within the answer calls nobody back: the limit ends that too.
    signal.addEventListener('abort', () => reject(late()), { once: true })
    dial(docker, request, signal, false).then(resolve, (error) =>
      reject(signal.aborted ? late() : toEngineError(error, request.subject))
    )
  })
}

const openWith = async (
  docker: Docker,
  request: Request,
  signal: AbortSignal
): Promise<NodeJS.ReadableStream> => {
  try {
    return (await dial(docker, request, signal, true)) as NodeJS.ReadableStream
  } catch (error) {
    throw toEngineError(error, request.subject)
  }
}

/** 304: stopped or started already, which is what was wanted. */
const successes = { 200: true, 201: true, 204: true, 304: true }

const dial = (
  docker: Docker,
  request: Request,
  abortSignal: AbortSignal,
  isStream: boolean
): Promise<unknown> =>
  new Promise((resolve, reject) => {
    docker.modem.dial(
      {
        path: `${request.path}?`,
        method: request.method,
        options: { _query: request.query ?? {}, _body: request.body ?? {} },
        statusCodes: successes,
        abortSignal,
        isStream,
        ...(request.registryAuth === undefined ? {} : { authconfig: request.registryAuth })
      } as Parameters<typeof docker.modem.dial>[0],
      (error: unknown, data: unknown) => (error ? reject(error) : resolve(data))
    )
  })

/** @returns undefined where the engine answers 404 */
export const findOrUndefined = async <T>(lookup: Promise<T>): Promise<T | undefined> => {
  try {
    return await lookup
  } catch (error) {
    if (isEngineError(error, 'not-found', 'image-missing')) return undefined
    throw error
  }
}
