// What a registry wants to see when it asks who is there: the login itself, or a token that another address gives for it
// (https://distribution.github.io/distribution/spec/auth/token/).
import { readChallenge } from '../../core/images/registry-address.ts'
import { codeOfStatus, UpstreamError } from '../../core/images/upstream-error.ts'
import type { Login } from '../../ports.ts'
import type { Exchange } from './exchange.ts'
import { readLimited } from './read-answer.ts'

const maxTokenBytes = 1024 * 1024

/**
 * @param challenge `WWW-Authenticate` of the refusal
 * @param login null: nobody's name is given
 * @param registry which asks: over TLS, and nothing goes out in plain text
 * @returns what to send as `Authorization`
 * @throws UpstreamError
 */
export const authorize = async (
  exchange: Exchange,
  challenge: string | undefined,
  { login, registry }: { login: Login | null; registry: URL }
): Promise<string> => {
  const { host } = registry
  const read = readChallenge(challenge ?? '')
  if (read === null) throw new UpstreamError('registry-denied', `${host} does not say how to log in`)
  const basic =
    login && `Basic ${Buffer.from(`${login.username}:${login.password}`, 'utf8').toString('base64')}`
  if (read.kind === 'basic') {
    if (basic === null) throw new UpstreamError('registry-denied', `${host} asks for a login`)
    return basic
  }
  const url = new URL(read.realm)
  if (registry.protocol === 'https:' && url.protocol !== 'https:')
    throw new UpstreamError('registry-denied', `${host} wants the login sent to ${url.host} over plain HTTP`)
  for (const [name, value] of Object.entries(read.parameters)) url.searchParams.set(name, value)
  const answer = await exchange(url, { headers: basic === null ? {} : { authorization: basic } })
  if (answer.statusCode !== 200) {
    answer.destroy()
    throw new UpstreamError(codeOfStatus(answer.statusCode ?? 0), `${url.host} answered ${answer.statusCode}`)
  }
  const { token, access_token: accessToken } = readToken(
    (await readLimited(answer, maxTokenBytes)).toString()
  )
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
