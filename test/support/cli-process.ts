// The real `longshore` process, run from the sources against a controller's stand-in.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { cliMain, startNode } from '../../scripts/hosts/programs.ts'
import { deployment, json, type StandIn, startStandIn } from './controller-stand-in.ts'

export { cliMain }

export type Running = {
  child: ChildProcess
  ended: Promise<{ code: number | null; out: string; err: string }>
}

export const environmentFor = (url: string): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  LONGSHORE_URL: url,
  LONGSHORE_TOKEN: 'secret-token',
  LANG: 'C.UTF-8',
  TERM: 'xterm'
})

export function run(url: string, args: string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn('env', [...startNode, cliMain, ...args], { env: { ...environmentFor(url), ...env } })
  const ended = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]).then(
    ([[code], out, err]) => ({ code: code as number | null, out, err })
  )
  return { child, ended }
}

/** Resolves once stderr has the words; fails when the process ends without. */
export const saysOnStderr = (running: Running, words: string): Promise<void> =>
  new Promise((resolve, reject) => {
    let seen = ''
    running.child.stderr?.on('data', (chunk: Buffer) => {
      seen += chunk.toString()
      if (seen.includes(words)) resolve()
    })
    running.child.once('close', () => reject(new Error(`never said "${words}": ${seen}`)))
  })

/** One that accepts every deployment. */
export async function withStandIn(test: Test): Promise<StandIn> {
  const standIn = await startStandIn()
  test.teardown(() => standIn.stop())
  standIn.on('POST /v1/deployments', (response) => json(response, 202, deployment()))
  return standIn
}
