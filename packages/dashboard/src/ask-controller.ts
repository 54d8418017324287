// The HTTP API as the page uses it: with the session's cookie, and the header that no other site can send.
import type { Problem } from '@longshore/controller/api'

/** What the controller refused, or why it could not be asked (`code` null). */
export class AskError extends Error {
  override readonly name = 'AskError'
  readonly code: string | null
  readonly status: number

  constructor(message: string, status: number, code: string | null) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** @param path from `v1/`, relative to the page: the controller may be behind a path */
export const ask = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
  const headers = {
    'x-longshore-page': '1',
    ...(body === undefined ? {} : { 'content-type': 'application/json' })
  }
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const answer = await fetch(path, { method, headers, ...sent }).catch(cannotBeReached)
  if (!answer.ok) throw await refusalOf(answer)
  return parse(await answer.text()) as T
}

/** An answer that is read while it comes. Rejects with the signal's reason, too. */
export const askStream = async (path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> => {
  const headers = { accept: 'text/event-stream' }
  const answer = await fetch(path, { headers, signal, cache: 'no-store' }).catch(cannotBeReached)
  signal.throwIfAborted()
  if (!answer.ok || answer.body === null) throw await refusalOf(answer)
  return answer.body
}

const cannotBeReached = (): never => {
  throw new AskError('the controller cannot be reached', 0, null)
}

const refusalOf = async (answer: Response): Promise<AskError> => {
  const { detail, code } = (parse(await answer.text().catch(() => '')) ?? {}) as Partial<Problem>
  const message = detail ?? `the controller answered with ${answer.status}`
  return new AskError(message, answer.status, code ?? null)
}

const parse = (text: string): unknown => {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
