// Other registries, asked for manifests and blobs by digest: the token dance, redirects to where blobs really lie, time
// limits, and every failure as an UpstreamError. Whether what came is what was wanted is left to the engine.
import type { IncomingMessage } from 'node:http'
import { maxManifestBytes } from '../../core/images/read-manifest.ts'
import { addressOf, type Challenge, readChallenge } from '../../core/images/registry-address.ts'
import { codeOfStatus, UpstreamError } from '../../core/images/upstream-error.ts'
import type { Upstream } from '../../image-ports.ts'
import type { Login } from '../../ports.ts'
import { createGet, type Get } from './get.ts'

const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json'
].join(', ')

/**
 * @param options.ca PEM; null: Node's list and the system's
 * @param options.silenceMs for tests
 * @param options.signal ends what is on its way, and what comes after
 */
export const createUpstream = (options: {
  ca: string | null
  silenceMs?: number
  signal?: AbortSignal
}): Upstream => {
  const get = createGet(options)
  const ask = async (repository: string, rest: string, accept: string, login: Login | null) => {
    const { origin, path } = addressOf(repository)
    const url = new URL(`${origin}/v2/${path}/${rest}`)
    const first = await get(url, { accept })
    if (first.statusCode !== 401) return demandFine(url, first)
    const challenge = readChallenge(first.headers['www-authenticate'] ?? '')
    first.destroy()
    if (challenge === null)
      throw new UpstreamError('registry-denied', `${url.host} does not say how to log in`)
    const authorization = await authorize(get, challenge, login, url.host)
    return demandFine(url, await get(url, { accept, authorization }))
  }
  return {
    manifest: async (repository, digest, login) => {
      const answer = await ask(repository, `manifests/${digest}`, manifestTypes, login)
      return {
        mediaType: answer.headers['content-type'] ?? '',
        content: await readLimited(answer, maxManifestBytes)
      }
    },
    blob: async (repository, digest, login) =>
      withFailures(await ask(repository, `blobs/${digest}`, 'application/octet-stream', login))
  }
}

const authorize = async (
  get: Get,
  challenge: Challenge,
  login: Login | null,
  host: string
): Promise<string> => {
  const basic =
    login && `Basic ${Buffer.from(`${login.username}:${login.password}`, 'utf8').toString('base64')}`
  if (challenge.kind === 'basic') {
    if (basic === null) throw new UpstreamError('registry-denied', `${host} asks for a login`)
    return basic
  }
  const url = new URL(challenge.realm)
  for (const [name, value] of Object.entries(challenge.parameters)) url.searchParams.set(name, value)
  const answer = demandFine(url, await get(url, basic === null ? {} : { authorization: basic }))
  const body = (await readLimited(answer, 1024 * 1024)).toString('utf8')
  const { token, access_token: accessToken } = readToken(body)
  const found = token ?? accessToken
  if (typeof found !== 'string') throw new UpstreamError('registry-denied', `${url.host} gave no token`)
  return `Bearer ${found}`
}

const readToken = (body: string): { token?: unknown; access_token?: unknown } => {
  try {
    return JSON.parse(body) as { token?: unknown; access_token?: unknown }
  } catch {
    return {}
  }
}

const demandFine = (url: URL, answer: IncomingMessage): IncomingMessage => {
  const status = answer.statusCode ?? 0
  if (status === 200) return answer
  answer.destroy()
  throw new UpstreamError(codeOfStatus(status), `${url.host} answered ${status}`)
}

const readLimited = async (answer: IncomingMessage, maxBytes: number): Promise<Buffer> => {
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

async function* withFailures(answer: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk as Uint8Array
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new UpstreamError('registry-unreachable', detail, { cause })
  }
}
