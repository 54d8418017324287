// Other registries, asked for manifests and blobs by digest: the token dance, redirects to where blobs really lie, time
// limits, and every failure as an UpstreamError. Whether what came is what was wanted is left to the engine.
import type { IncomingMessage } from 'node:http'
import { acceptedManifests, maxManifestBytes } from '../../core/images/read-manifest.ts'
import { addressOf } from '../../core/images/registry-address.ts'
import { codeOfStatus, UpstreamError } from '../../core/images/upstream-error.ts'
import type { Upstream } from '../../image-ports.ts'
import type { Login } from '../../ports.ts'
import { authorize } from './authorize.ts'
import { createExchange } from './exchange.ts'
import { readLimited, withFailures } from './read-answer.ts'

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
  const exchange = createExchange(options)
  const ask = async (repository: string, rest: string, accept: string, login: Login | null) => {
    const { origin, path } = addressOf(repository)
    const url = new URL(`${origin}/v2/${path}/${rest}`)
    const first = await exchange(url, { headers: { accept } })
    if (first.statusCode !== 401) return demandFine(url, first)
    first.destroy()
    const challenge = first.headers['www-authenticate']
    const authorization = await authorize(exchange, challenge, { login, registry: url })
    return demandFine(url, await exchange(url, { headers: { accept, authorization } }))
  }
  return {
    manifest: async (repository, digest, login) => {
      const answer = await ask(repository, `manifests/${digest}`, acceptedManifests, login)
      return {
        mediaType: answer.headers['content-type'] ?? '',
        content: await readLimited(answer, maxManifestBytes)
      }
    },
    blob: async (repository, digest, login) =>
      withFailures(await ask(repository, `blobs/${digest}`, 'application/octet-stream', login))
  }
}

const demandFine = (url: URL, answer: IncomingMessage): IncomingMessage => {
  const status = answer.statusCode ?? 0
  if (status === 200) return answer
  answer.destroy()
  throw new UpstreamError(codeOfStatus(status), `${url.host} answered ${status}`)
}
