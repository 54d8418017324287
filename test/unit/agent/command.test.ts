// The two steps of a release command against an engine that answers as the test says: what is started, what is not
// started again, and what nobody can know. Also how its output is cut into lines.
import { setImmediate } from 'node:timers/promises'
import type { CommandId } from '@longshore/protocol'
import t from 'tap'
import { LineReader } from '../../../packages/agent/src/adapters/docker/log-frames.ts'
import { type Ownership, ownContainers } from '../../../packages/agent/src/core/observation.ts'
import type { Step } from '../../../packages/agent/src/core/steps.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import { executeStep } from '../../../packages/agent/src/executor.ts'
import type { ContainerLook, Engine } from '../../../packages/agent/src/ports.ts'
import { idFrom } from '../../support/run-samples.ts'
import { lookOf, preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

const command = idFrom('cmd', 1) as CommandId
const ref = { by: 'command', command, release: 2, index: 0 } as const
const start: Step = { kind: 'start-command', container: ref }
const wait: Step = { kind: 'await-command', container: ref }

const commandLook = (state: ContainerLook['state'], more: Partial<ContainerLook> = {}): ContainerLook =>
  lookOf({
    name: 'web-r2-once',
    state,
    owner: { command, release: 2, index: 0, purpose: 'once' } as Ownership,
    isRunning: state === 'running',
    ...more
  })

/** An engine whose container is seen in these states, one after the other; the last one stays. */
const engineOf = (states: (ContainerLook | undefined)[], calls: Partial<Engine> = {}) => {
  let looks = 0
  const started: string[] = []
  const now = () => states[Math.min(looks, states.length - 1)]
  const prepared: Partial<Engine> = {
    ping: async () => undefined,
    listContainers: async () => [now() ?? []].flat(),
    inspectContainer: async () => {
      const look = now()
      looks += 1
      return look
    },
    startContainer: async (id) => void started.push(id),
    readLog: async () => ['first', 'last'],
    followLog: async () => undefined,
    ...calls
  }
  return { engine: preparedEngine(prepared), started }
}

t.test('a command is started when it was never started, and never again', async (t) => {
  const cases: [name: string, state: ContainerLook['state'], isRepeated: boolean, starts: number][] = [
    ['made just now', 'created', false, 1],
    ['made before a crash', 'created', true, 1],
    ['started before a crash', 'running', true, 0],
    ['ended before a crash', 'exited', true, 0]
  ]
  for (const [name, state, isRepeated, starts] of cases) {
    const { engine, started } = engineOf([commandLook(state)])
    t.match(await executeStep(runtimeOf(engine, { isRepeated }), start), { kind: 'done' }, name)
    t.equal(started.length, starts, name)
  }
})

t.test('a command that is to stop before it began never begins', async (t) => {
  const { engine, started } = engineOf([commandLook('created')])
  const result = await executeStep(runtimeOf(engine, { signal: AbortSignal.abort() }), start)
  t.match(result, { kind: 'failed', error: { code: 'interrupted' } })
  t.same(started, [])
})

t.test('a start that was under way when the agent died is seen before another is tried', async (t) => {
  const { engine, started } = engineOf([commandLook('created'), commandLook('running')])
  t.match(await executeStep(runtimeOf(engine, { isRepeated: true }), start), { kind: 'done' })
  t.same(started, [])
})

const broken = async (): Promise<never> => {
  throw new EngineError('unreachable', 'socket hang up')
}

t.test('an engine that dies while it starts the command is asked whether it did', async (t) => {
  const ran = engineOf([commandLook('created'), commandLook('exited')], { startContainer: broken })
  t.match(await executeStep(runtimeOf(ran.engine), start), { kind: 'done' })
  const lost = engineOf([commandLook('created')], { startContainer: broken })
  t.match(await executeStep(runtimeOf(lost.engine), start), {
    kind: 'unknown',
    error: { detail: /whether it began/ }
  })
  const refused = engineOf([commandLook('created')], {
    startContainer: async () => {
      throw new EngineError('start-refused', 'exec: "migrate": executable file not found')
    }
  })
  t.match(await executeStep(runtimeOf(refused.engine), start), {
    kind: 'failed',
    error: { code: 'spec-rejected' }
  })
})

t.test('a container that is gone makes unknown what may have begun, and only that', async (t) => {
  const { engine } = engineOf([undefined])
  t.match(await executeStep(runtimeOf(engine), start), { kind: 'failed' }, 'before the first start')
  t.match(await executeStep(runtimeOf(engine, { isRepeated: true }), start), { kind: 'unknown' })
  t.match(await executeStep(runtimeOf(engine), wait), { kind: 'unknown', error: { detail: /removed/ } })
  const forgotten = engineOf([commandLook('created')])
  t.match(await executeStep(runtimeOf(forgotten.engine), wait), {
    kind: 'unknown',
    error: { detail: /forgotten/ }
  })
})

t.test('the end of a command comes with its exit code, its output and its last lines', async (t) => {
  const told: string[][] = []
  const follow: { isFromStart: boolean }[] = []
  const { engine } = engineOf(
    [commandLook('running'), commandLook('running'), commandLook('exited', { exitCode: 7 })],
    {
      followLog: async (_id, how, tell) => {
        follow.push(how)
        tell(['first'])
        await setImmediate()
        tell(['last'])
      }
    }
  )
  const result = await executeStep(runtimeOf(engine, { output: (lines) => void told.push(lines) }), wait)
  const exit = { code: 7, log: ['first', 'last'] }
  t.same(result, { kind: 'done', finding: { kind: 'exit', exit } })
  t.same(told, [['first'], ['last']])
  t.match(follow, [{ isFromStart: true }])
})

const fault = new EngineError('failed', 'server error 500')

t.test('an engine that fails to tell how a command does is asked again', async (t) => {
  for (const signal of [new AbortController().signal, AbortSignal.abort()]) {
    let looks = 0
    const { engine } = engineOf([commandLook('running')], {
      inspectContainer: async () => {
        looks += 1
        if (looks < 4) throw fault
        return commandLook('exited', { exitCode: 7 })
      }
    })
    const result = await executeStep(runtimeOf(engine, { signal }), wait)
    t.match(result, { kind: 'done', finding: { exit: { code: 7 } } })
  }
})

t.test('a command whose engine only fails has an unknown end, and is left alone', async (t) => {
  const { engine } = engineOf([commandLook('running')], {
    inspectContainer: async () => {
      throw fault
    }
  })
  t.match(await executeStep(runtimeOf(engine), wait), {
    kind: 'unknown',
    error: { detail: /does not say how the command does.*500/ }
  })
})

t.test('a command that is to stop gives what it has written so far', async (t) => {
  const { engine } = engineOf([commandLook('running')])
  const stopped = { signal: AbortSignal.abort() }
  t.match(await executeStep(runtimeOf(engine, stopped), wait), {
    kind: 'failed',
    error: { code: 'interrupted', log: ['first', 'last'] }
  })
  const ended = engineOf([commandLook('exited')])
  t.match(await executeStep(runtimeOf(ended.engine, stopped), wait), { kind: 'done' }, 'its end counts')
})

t.test('an image that is not here is an objection only if it may not be fetched', async (t) => {
  const digest = `sha256:${'ab'.repeat(32)}`
  const look = { kind: 'look-for-image', repository: 'web', digest, platform: null } as const
  const { engine } = engineOf([], { inspectImage: async () => undefined })
  const never = await executeStep(runtimeOf(engine), { ...look, pullPolicy: 'never' } as Step)
  t.match(never, { kind: 'failed', error: { code: 'image-not-found' } })
  t.match(await executeStep(runtimeOf(engine), { ...look, pullPolicy: 'missing' } as Step), { kind: 'done' })
})

t.test('an image that is here by its digest needs no registry, whatever the policy asks', async (t) => {
  const digest = `sha256:${'ab'.repeat(32)}`
  const fetch = { kind: 'fetch-image', repository: 'web', digest, tag: 'v1', platform: null } as const
  const here = {
    id: digest,
    repoDigests: [`web@${digest}`],
    repoTags: [],
    os: 'linux',
    architecture: 'amd64'
  }
  const runFetch = (code: 'registry-unavailable' | 'registry-denied', isHere: boolean) => {
    const { engine } = engineOf([], {
      inspectImage: async () => (isHere ? (here as never) : undefined),
      pullImage: async () => {
        throw new EngineError(code, 'no answer')
      }
    })
    return executeStep(runtimeOf(engine), { ...fetch, pullPolicy: 'always' } as Step)
  }
  t.match(await runFetch('registry-unavailable', true), { kind: 'done' })
  t.notMatch(await runFetch('registry-unavailable', false), { kind: 'done' })
  t.notMatch(await runFetch('registry-denied', true), { kind: 'done' }, 'who was told no has no leave')
})

t.test('output becomes lines wherever it is cut', async (t) => {
  const frame = (stream: number, text: string) => {
    const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
    header.writeUInt32BE(Buffer.byteLength(text), 4)
    return Buffer.concat([header, Buffer.from(text)])
  }
  const bytes = Buffer.concat([
    frame(1, 'one\ntw'),
    frame(2, 'warn'),
    frame(1, 'ö\r\n'),
    frame(2, 'ing\n'),
    frame(1, 'open')
  ])
  for (const size of [1, 3, 5, 1000]) {
    const reader = new LineReader()
    const lines: string[] = []
    for (let at = 0; at < bytes.length; at += size) lines.push(...reader.read(bytes.subarray(at, at + size)))
    lines.push(...reader.end())
    t.same(lines, ['one', 'twö', 'warning', 'open'], `in pieces of ${size}`)
  }
  const tty = new LineReader()
  t.same([...tty.read(Buffer.from('plain text\nand')), ...tty.end()], ['plain text', 'and'])
  const short = new LineReader()
  t.same([...short.read(Buffer.from('ok\n')), ...short.end()], ['ok'])
  const endless = new LineReader()
  t.equal(endless.read(frame(1, 'x'.repeat(9000)))[0]?.length, 9000)
})

t.test("a container of a command is nobody else's", async (t) => {
  const of = { installation: 'i', environment: 'e', service: 's' } as unknown as Ownership
  const once = { ...commandLook('running'), owner: { ...of, purpose: 'once' } as Ownership }
  const serving = { ...commandLook('running'), owner: { ...of, purpose: 'serving' } as Ownership }
  t.same(ownContainers([once, serving], of), [serving])
})
