// One question to a credential helper on the controller's machine, in the protocol of docker-credential-helpers: `PROGRAM
// get`, the server on stdin, JSON on stdout. What a helper writes is never told: it may hold the secret.
// Source: https://github.com/docker/docker-credential-helpers#development
import { spawn } from 'node:child_process'
import * as z from 'zod'
import { type CredentialHelper, HelperError, type Login } from '../../ports.ts'

/** A helper asks its cloud once; a deployment waits for it. */
export const helperLimitMs = 10_000
/** Tokens have a few KiB. */
const maxAnswerBytes = 64 * 1024
/** Words of docker-credential-helpers (its package credentials) when a helper has nothing for a server. */
const absentInHelper = 'credentials not found in native keychain'
const answer = z.object({
  ServerURL: z.string().optional(),
  Username: z.string().min(1),
  Secret: z.string().min(1)
})

/** @param limitMs tests are shorter */
export const createCredentialHelper = (
  environment: NodeJS.ProcessEnv,
  limitMs = helperLimitMs
): CredentialHelper => ({
  get: async (program, server) => {
    const { code, stdout } = await run(program, server, environment, limitMs)
    if (code !== 0 && stdout.includes(absentInHelper))
      throw new HelperError(`${program} has no credentials of ${server}`)
    if (code !== 0)
      throw new HelperError(`${program} failed for ${server}${code === null ? '' : ` (exit code ${code})`}`)
    return readAnswer(stdout, program, server)
  }
})

type Ended = { code: number | null; stdout: string }

const run = (program: string, server: string, env: NodeJS.ProcessEnv, limitMs: number): Promise<Ended> =>
  new Promise((resolve, reject) => {
    // a group of its own: what the helper starts ends with it
    const child = spawn(program, ['get'], { env, detached: true, stdio: ['pipe', 'pipe', 'ignore'] })
    let stdout = ''
    const giveUp = (why: string): void => {
      clearTimeout(timer)
      child.stdout.destroy()
      if (child.pid !== undefined) killGroup(child.pid)
      reject(new HelperError(`${program} ${why}`))
    }
    const timer = setTimeout(() => giveUp(`did not answer for ${server} within ${limitMs} ms`), limitMs)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      if (stdout.length > maxAnswerBytes) giveUp(`answered for ${server} with more than credentials`)
    })
    child.on('error', ({ code }: NodeJS.ErrnoException) =>
      giveUp(
        code === 'ENOENT' ? "is not in the controller's PATH" : `cannot be started: ${code ?? 'unknown'}`
      )
    )
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code, stdout })
    })
    // it may end without reading
    child.stdin.on('error', () => {})
    child.stdin.end(server)
  })

const killGroup = (pid: number): void => {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

const readAnswer = (stdout: string, program: string, server: string): Login => {
  try {
    const { Username, Secret } = answer.parse(JSON.parse(stdout))
    return { username: Username, password: Secret }
  } catch {
    // without the cause: it may quote the secret
    throw new HelperError(`${program} did not answer with credentials for ${server}`)
  }
}
