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
  const answer = await fetch(path, { method, headers, ...sent }).catch(() => {
    throw new AskError('the controller cannot be reached', 0, null)
  })
  const text = await answer.text()
  const read = parse(text)
  if (answer.ok) return read as T
  const { detail, code } = (read ?? {}) as Partial<Problem>
  throw new AskError(detail ?? `the controller answered with ${answer.status}`, answer.status, code ?? null)
}

const parse = (text: string): unknown => {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
