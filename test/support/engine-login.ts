// An engine pushes and pulls as `docker push` and `docker pull` have it do.
import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { EngineClient } from './engine.ts'

/**
 * @param path of the Engine API, from `/images/` on
 * @param password of whoever logs in; null: nobody does
 * @returns what the engine streamed, which may end with an error
 */
export const postWithLogin = (
  { socketPath }: EngineClient,
  path: string,
  password: string | null
): Promise<string> =>
  new Promise((resolve, reject) => {
    const login = Buffer.from(JSON.stringify(password === null ? {} : { username: 'anyone', password }))
    const headers = { 'X-Registry-Auth': login.toString('base64url'), 'Content-Length': 0 }
    const outgoing = request(
      { socketPath, method: 'POST', path: `/v1.41${path}`, headers, agent: false },
      (answer) => void text(answer).then(resolve, reject)
    )
    outgoing.on('error', reject)
    outgoing.end()
  })
