// A real Prometheus for tests: in a folder of its own, on a free loopback port, asked through its HTTP API as Grafana
// does it; and promtool, which says what Prometheus thinks of a text.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { startProcess } from '../../scripts/hosts/start-process.ts'
import { freePort } from './haproxy.ts'
import { makeTestFolder } from './real-parts.ts'
import { waitUntil } from './wait.ts'

export type PrometheusSample = { metric: Record<string, string>; value: [number, string] }
export type Prometheus = {
  /** `data` of its answer. Rejects with its own words when it refuses. */
  ask<T>(path: string, search?: Record<string, string>): Promise<T>
  query(expression: string): Promise<PrometheusSample[]>
}

/** @param files by name; `prometheus.yml` is its configuration */
export const startPrometheus = async (t: Test, files: Record<string, string>): Promise<Prometheus> => {
  const folder = makeTestFolder(t)
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content)
  const address = `127.0.0.1:${await freePort()}`
  const running = await startProcess({
    name: 'prometheus',
    file: 'prometheus',
    args: [
      `--config.file=${join(folder, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=${address}`
    ]
  })
  t.teardown(() => running.kill())
  const ask: Prometheus['ask'] = async <T>(path: string, search: Record<string, string> = {}) => {
    const answer = await fetch(`http://${address}/api/v1/${path}?${new URLSearchParams(search)}`)
    const body = (await answer.json()) as { status: string; error?: string; data: T }
    if (body.status !== 'success') throw new Error(`${path}: ${body.error}`)
    return body.data
  }
  await waitUntil('Prometheus to be ready', async () => {
    if (!running.isRunning) throw new Error(running.output)
    return (await fetch(`http://${address}/-/ready`)).ok
  })
  return {
    ask,
    query: async (query) => (await ask<{ result: PrometheusSample[] }>('query', { query })).result
  }
}

/** @returns all that it printed, and its exit code */
export const promtool = async (
  args: readonly string[],
  { input = '', cwd }: { input?: string; cwd?: string } = {}
): Promise<{ exitCode: number; output: string }> => {
  const child = spawn('promtool', args, { ...(cwd !== undefined && { cwd }) })
  child.stdin.end(input)
  const [output, errors, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>
  ])
  return { exitCode, output: output + errors }
}
