// A real controller inside the test's process: founded in a folder of its own, on a free port, asked over HTTP. Its
// programs as processes are in processes.ts.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  importVerifyKey,
  keyAnnouncement,
  readUnverified,
  type ServiceSpec,
  type VerifyKey
} from '@longshore/protocol'
import { readServiceFiles } from '@longshore/protocol/spec'
import type { Test } from 'tap'
import { initController, type Parts, startController } from '../../packages/controller/src/main.ts'

export type Json = { [name: string]: unknown }
export type Answer = { status: number; type: string; body: Json }
export type AskOptions = { body?: unknown; raw?: string; token?: string; from?: string }
export type RealController = {
  readonly url: string
  dataDir: string
  /** May do everything. */
  token: string
  installation: string
  /** With the first token, from 192.0.2.1. Tests that fail on purpose come from addresses of their own. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answer>
  tokenFor(...allow: string[]): Promise<string>
  joinToken(change?: object): Promise<{ id: string; token: string }>
  /** What an agent trusts after its enrolment. */
  trust(): Promise<{ installation: string; key: VerifyKey }>
  stop(): Promise<void>
  /** Another one on the same data; `url` changes. */
  start(options?: object): Promise<void>
}

/** @param more Compose keys of the service */
export const specOf = (more: object = {}): ServiceSpec => {
  const text = JSON.stringify({ services: { it: { image: 'registry.example/it', ...more } } })
  const read = readServiceFiles([{ name: 'test', text }], {
    environment: {},
    readEnvFile: () => {
      throw new Error('not prepared')
    }
  })
  const [spec] = Object.values(read.services)
  if (spec === undefined) throw new Error('no service was read')
  return spec
}

export const textOf = (body: Json, name: string): string => String(body[name])

/** Starts one with the environments `staging` and `production`; it is stopped at the end of the test. */
export const startRealController = async (
  t: Test,
  options: object = {},
  parts?: Parts
): Promise<RealController> => {
  const folder = await mkdtemp(join(tmpdir(), 'longshore-controller-'))
  const dataDir = join(folder, 'data')
  const { token, installation } = await initController({ dataDir })
  const trustedProxies = ['127.0.0.1']
  const launch = (change: object) =>
    startController({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent', trustedProxies, ...change }, parts)
  let running = await launch(options)
  t.teardown(async () => {
    await running.stop()
    await rm(folder, { recursive: true })
  })

  const ask: RealController['ask'] = async (method, path, asked = {}) => {
    const body = asked.raw ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body))
    const answer = await fetch(running.url + path, {
      method,
      headers: {
        authorization: `Bearer ${asked.token ?? token}`,
        'x-forwarded-for': asked.from ?? '192.0.2.1',
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { body })
    })
    const text = await answer.text()
    const type = answer.headers.get('content-type') ?? ''
    return { status: answer.status, type, body: text === '' ? {} : JSON.parse(text) }
  }
  if (!running.url.startsWith('https:')) {
    for (const name of ['staging', 'production']) await ask('POST', '/v1/environments', { body: { name } })
  }
  return {
    get url() {
      return running.url
    },
    dataDir,
    token,
    installation,
    ask,
    tokenFor: async (...allow) =>
      textOf((await ask('POST', '/v1/api-tokens', { body: { name: 'test', allow } })).body, 'token'),
    joinToken: async (change = {}) => {
      const { body } = await ask('POST', '/v1/join-tokens', { body: { environment: 'staging', ...change } })
      return { id: textOf(body, 'id'), token: textOf(body, 'token') }
    },
    trust: async () => {
      const { body } = await ask('GET', '/v1/keys')
      const [first] = body['chain'] as [string]
      return { installation, key: await importVerifyKey(readUnverified('key', first, keyAnnouncement).key) }
    },
    stop: () => running.stop(),
    start: async (change = {}) => {
      running = await launch(change)
    }
  }
}
