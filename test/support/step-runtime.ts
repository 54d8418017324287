// What a step of a run works with, for tests of single steps: an engine that refuses what was not prepared, a clock that
// passes at once, and a host that is fine.
import type { ContainerLook, Engine, KnownImages, Runtime } from '../../packages/agent/src/ports.ts'
import { createSourceMemory } from '../../packages/agent/src/source-memory.ts'
import { noArtifacts, noEvents, noLogins, preparedProxy } from './no-proxy.ts'

/** Throws on every call that the test did not prepare. */
export const preparedEngine = (calls: Partial<Engine>): Engine =>
  new Proxy(calls as Engine, {
    get: (target, name) => {
      const call: unknown = Reflect.get(target, name)
      if (call === undefined) throw new Error(`the test did not prepare ${String(name)}`)
      return call
    }
  })

/** Images that came under other names, as the journal keeps them. */
export const createKnownImages = (): KnownImages => {
  const ids = new Map<string, string>()
  const keyOf = ({ digest, platform }: Parameters<KnownImages['find']>[0]): string => `${digest} ${platform}`
  return {
    find: (image) => ids.get(keyOf(image)),
    remember: (image) => void ids.set(keyOf(image), image.id),
    forget: (image) => void ids.delete(keyOf(image)),
    digestOf: (id) => [...ids].find(([, of]) => of === id)?.[0].split(' ')[0]
  }
}

/** A container that runs, without a health check, as the engine tells it. */
export const lookOf = (more: Partial<ContainerLook> = {}): ContainerLook => ({
  id: 'c1',
  name: 'web-r2-0',
  state: 'running',
  health: 'none',
  image: 'web',
  createdAtMs: 0,
  restart: { name: 'no', maxRetries: 0 },
  owner: null,
  publishes: [],
  ownAddress: null,
  finishedAtMs: null,
  isRunning: true,
  isRestarting: false,
  startedAt: '',
  restartCount: 0,
  exitCode: 0,
  checkup: null,
  lastCheck: null,
  addresses: [],
  bindings: [],
  isOnHostNetwork: false,
  adjustable: {},
  networks: [],
  ...more
})

/** What waits for the clock goes on in the next turn. */
export const runtimeOf = (engine: Engine, more: Partial<Runtime> = {}): Runtime => {
  let nowMs = 0
  return {
    engine,
    proxy: preparedProxy(),
    events: noEvents,
    host: {
      freeBytes: async () => 500,
      routes: async () => [],
      isPortBound: async () => true,
      probe: async () => ({ isOk: true, detail: '' })
    },
    images: {
      memory: createSourceMemory({ monotonicMs: () => nowMs }),
      known: createKnownImages(),
      artifacts: noArtifacts
    },
    successor: undefined,
    logins: noLogins,
    clock: {
      nowMs: () => nowMs,
      monotonicMs: () => nowMs,
      after: (delayMs, wake) => {
        nowMs += delayMs
        globalThis.setImmediate(wake)
        return () => undefined
      }
    },
    signal: new AbortController().signal,
    isRepeated: false,
    progress: () => undefined,
    output: () => undefined,
    ...more
  }
}
