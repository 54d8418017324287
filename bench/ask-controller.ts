// One request to the controller that a bench measures.
import type { Controller } from '../scripts/hosts/programs.ts'

/** @param body as JSON, by POST; undefined: GET. Rejects when the answer is no success. */
export const askController = async <T>(
  { url, token }: Controller,
  path: string,
  body?: object
): Promise<T> => {
  const answer = await fetch(url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}
