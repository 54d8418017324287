// How a test has a service used while something happens to it: the load runs as a process of its own, so that a
// busy test does not slow it, and is told when to stop. Nothing is judged here.
import { resolve } from 'node:path'
import type { Test } from 'tap'
import { type RunningProcess, startProcess } from '../processes.ts'
import type { LoadLine, LoadOptions, LoadReport } from './report.ts'

const program = resolve(import.meta.dirname, '../load-generator.ts')

/** All kinds over HTTP/1.1, as many clients as one of two cores serves beside everything else. */
export const mixedClients: LoadOptions['clients'] = {
  get: 2,
  'get-fresh': 2,
  post: 1,
  slow: 2,
  upload: 1,
  stream: 1,
  socket: 20
}
export const http2Clients: LoadOptions['clients'] = { http2: 6 }
export const lineClients: LoadOptions['clients'] = { line: 8, 'line-fresh': 2 }

export type Load = {
  process: RunningProcess
  /** Resolves when this version has answered for the first time; its time on the machine's clock. */
  firstAnswerOf(version: string, deadlineMs?: number): Promise<number>
  /** Stops it; what became of every request. */
  stop(): Promise<LoadReport>
  /** As `stop`, but it ends at its own bound. */
  end(): Promise<LoadReport>
}

const lineOf = async <T extends LoadLine['type']>(
  process: RunningProcess,
  pattern: RegExp,
  deadlineMs?: number
): Promise<Extract<LoadLine, { type: T }>> => JSON.parse(await process.waitForLine(pattern, deadlineMs))

/** Resolves once every client has had an answer. */
export const startLoad = async (
  t: Pick<Test, 'teardown'>,
  where: Pick<LoadOptions, 'url' | 'secure' | 'line' | 'clients'>,
  bounds: Partial<Pick<LoadOptions, 'paceMs' | 'maxMs' | 'maxRequests'>> = {}
): Promise<Load> => {
  const options: LoadOptions = { paceMs: 20, maxMs: 600_000, maxRequests: 1_000_000, ...bounds, ...where }
  const load = await startProcess({
    name: 'load',
    file: process.execPath,
    args: [program, JSON.stringify(options)],
    env: { PATH: process.env['PATH'] }
  })
  t.teardown(() => load.kill())
  await load.waitForLine(/^\{"type":"ready"/, 30_000)
  const end = (deadlineMs: number): Promise<LoadReport> =>
    lineOf<'report'>(load, /^\{"type":"report"/, deadlineMs)
  return {
    process: load,
    firstAnswerOf: async (version, deadlineMs = 60_000) => {
      const pattern = new RegExp(`^\\{"type":"version","version":"${version}"`)
      return (await lineOf<'version'>(load, pattern, deadlineMs)).atMs
    },
    stop: () => {
      load.signal('SIGTERM')
      return end(40_000)
    },
    end: () => end(options.maxMs + 40_000)
  }
}
