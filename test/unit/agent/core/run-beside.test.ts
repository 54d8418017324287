// Runs that stand beside what serves: a plan looks, a release command runs once for ever, a rehearsal leaves nothing.
// Whatever step the agent dies in, the serving container is the one before.
import type { ServiceSpec } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import type { Task } from '../../../../packages/agent/src/core/plan.ts'
import { specOfCommand, specOfRehearsal } from '../../../../packages/agent/src/core/plan-beside.ts'
import { stepRun } from '../../../../packages/agent/src/core/run.ts'
import { beginRun, reviveRun, type StepResult } from '../../../../packages/agent/src/core/run-state.ts'
import type { Step, UsableSources } from '../../../../packages/agent/src/core/steps.ts'
import {
  anyTrouble,
  finish,
  noTrouble,
  SimulatedEngine,
  type Trouble,
  taskOf,
  withFirstRelease
} from '../../../support/run-machine.ts'
import { TrafficEngine } from '../../../support/run-machine-traffic.ts'
import {
  releaseBody,
  sampleCommand,
  sampleDigest,
  sampleSpec,
  stageBody,
  startFirstSpec
} from '../../../support/run-samples.ts'

const image = { repository: 'registry.test/web', tag: 'v1', digest: sampleDigest }
const request = { body: { Image: `registry.test/web@${sampleDigest}` }, joins: [] }
const spec = sampleSpec()

const taskFor = (number: number, body: object, more: Partial<Task> = {}): Task => ({
  command: sampleCommand(number, { release: 2, image, spec, ...body }),
  specHash: 'spec2',
  minFreeBytes: 7,
  requests: [request],
  ...more
})
const once = (number: number) => taskFor(number, { kind: 'run-once', command: ['migrate'] })
const rehearse = (number: number) => taskFor(number, { kind: 'rehearse', replace: null })
const plan = (number: number, more: Partial<Task> = {}, body: object = {}) =>
  taskFor(number, { kind: 'plan', replace: null, recreate: false, ...body }, more)

t.test('a release command runs beside what serves and is removed after its end', async (t) => {
  const engine = withFirstRelease()
  const state = finish(engine, once(2), noTrouble)
  t.match(state.outcome, {
    status: 'succeeded',
    result: { kind: 'run-once', exitCode: 0, log: ['last words'] },
    serving: 'old',
    release: 1
  })
  t.same(
    state.steps.map(({ kind }) => kind),
    ['create-container', 'start-command', 'await-command', 'remove-container']
  )
  t.match(state.steps[0], { name: 'web-r2-once', owner: { purpose: 'once', restart: { name: 'no' } } })
  t.equal(engine.commandStarts, 1)
  t.equal(engine.containers.length, 1)
})

t.test('a release command that fails says its exit code and keeps its last lines', async (t) => {
  const engine = withFirstRelease()
  engine.exitCode = 3
  const { outcome } = finish(engine, once(2), noTrouble)
  t.match(outcome, {
    status: 'failed',
    error: { code: 'command-failed', detail: /exit code 3/, exitCode: 3, log: ['last words'] },
    serving: 'old',
    release: 1
  })
  t.equal(engine.containers.length, 1, 'it is removed all the same')
})

t.test('whatever step the agent dies in, a release command never runs twice', async (t) => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 2, max: 30 }), { maxLength: 6 }),
      fc.integer({ min: 0, max: 1 }),
      fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
      (crashes, exitCode, cancelAt) => {
        const engine = withFirstRelease()
        engine.exitCode = exitCode
        const trouble: Trouble = {
          crashes: new Set(crashes),
          ...(cancelAt === undefined ? {} : { cancelAt })
        }
        const { outcome } = finish(engine, once(2), trouble)
        const isFair = cancelAt !== undefined || (outcome?.status === 'succeeded') === (exitCode === 0)
        return (
          isFair &&
          engine.commandStarts <= 1 &&
          (outcome?.status !== 'succeeded' || engine.commandStarts === 1) &&
          engine.running()[0] === 1 &&
          engine.containers.length === 1 &&
          outcome?.serving === 'old'
        )
      }
    ),
    { numRuns: 300 }
  )
  t.pass('300 runs')
})

const unknown: StepResult = { kind: 'unknown', error: { code: 'interrupted', detail: 'gone', log: [] } }
const failedStep: StepResult = { kind: 'failed', error: { code: 'engine-error', detail: 'no', log: [] } }

/** A run of this task whose step of this kind is under way. */
const stateAt = (engine: SimulatedEngine, task: Task, kind: string) => {
  let turn = stepRun(beginRun(task), { kind: 'observed', atMs: 0, observation: engine.observe() })
  while (turn.state.steps[turn.state.position]?.kind !== kind) {
    const step = turn.state.steps[turn.state.position]
    if (step === undefined) throw new RangeError(`no step ${kind}`)
    turn = stepRun(turn.state, { kind: 'step-ended', atMs: 1, result: engine.perform(step) })
  }
  return turn.state
}

t.test('a command whose container is gone is unknown, and what serves is known all the same', async (t) => {
  const begun = stateAt(withFirstRelease(), once(2), 'await-command')
  const { outcome } = stepRun(begun, { kind: 'step-ended', atMs: 2, result: unknown }).state
  t.match(outcome, { status: 'unknown', serving: 'old', release: 1 })
  const creating = stateAt(withFirstRelease(), once(2), 'create-container')
  const early = stepRun(creating, { kind: 'step-ended', atMs: 2, result: unknown }).state
  t.match(early.outcome, { status: 'failed' }, 'before the start nothing can have happened')
})

t.test('a command that ended before it was to stop is reported as it ended', async (t) => {
  const removing = stateAt(withFirstRelease(), once(2), 'remove-container')
  const asked = stepRun(removing, { kind: 'time-limit-passed', atMs: 3 }).state
  const { outcome } = stepRun(asked, { kind: 'step-ended', atMs: 4, result: failedStep }).state
  t.match(outcome, { status: 'succeeded', result: { exitCode: 0 } })
})

t.test('a command whose container cannot be removed is reported as it ended', async (t) => {
  const removing = stateAt(withFirstRelease(), once(2), 'remove-container')
  const { outcome } = stepRun(removing, { kind: 'step-ended', atMs: 4, result: unknown }).state
  t.match(outcome, { status: 'succeeded', result: { exitCode: 0 }, serving: 'old' })
  const engine = withFirstRelease()
  engine.exitCode = 3
  const afterFailure = stateAt(engine, once(2), 'remove-container')
  const ended = stepRun(afterFailure, { kind: 'step-ended', atMs: 4, result: unknown }).state
  t.match(ended.outcome, { status: 'failed', error: { code: 'command-failed', exitCode: 3 } })
})

t.test('a command that was begun before the journal was lost is not begun again', async (t) => {
  const engine = withFirstRelease()
  stateAt(engine, once(2), 'await-command')
  const { outcome } = finish(engine, once(2), noTrouble)
  t.match(outcome, { status: 'succeeded', result: { exitCode: 0 } })
  t.equal(engine.commandStarts, 1)
  t.equal(engine.containers.length, 1)
})

t.test('a command that cannot be stopped is not said to be cancelled', async (t) => {
  const waiting = stateAt(withFirstRelease(), once(2), 'await-command')
  const asked = stepRun(waiting, { kind: 'cancelled', atMs: 3 }).state
  const undoing = stepRun(asked, {
    kind: 'step-ended',
    atMs: 4,
    result: { kind: 'failed', error: { code: 'interrupted', detail: '', log: ['so far'] } }
  }).state
  t.match(undoing, { phase: 'undoing', failure: { code: 'cancelled', log: ['so far'] } })
  const { outcome } = stepRun(undoing, { kind: 'step-ended', atMs: 5, result: failedStep }).state
  t.match(outcome, { status: 'unknown', error: { code: 'cancelled' }, serving: 'old' })
})

t.test(
  'a command that ended by itself is reported so, though the agent died with a cancel outstanding',
  async (t) => {
    for (const kind of ['start-command', 'await-command']) {
      const engine = withFirstRelease()
      engine.exitCode = 3
      const begun = stateAt(engine, once(2), kind)
      if (begun.steps[begun.position]?.kind === 'start-command')
        engine.perform(begun.steps[begun.position] as Step)
      const asked = stepRun(begun, { kind: 'cancelled', atMs: 3 }).state
      let turn = stepRun(asked, { kind: 'resumed', atMs: 3 })
      t.match(
        turn.effects,
        [{ kind: 'interrupt' }, { kind: 'execute', step: { kind } }],
        'it looks, and waits no more'
      )
      while (turn.state.phase !== 'ended') {
        const { phase, steps, undo, position } = turn.state
        const step = (phase === 'undoing' ? undo : steps)[position] as Step
        turn = stepRun(turn.state, { kind: 'step-ended', atMs: 4, result: engine.perform(step) })
      }
      t.match(turn.state.outcome, { status: 'failed', error: { code: 'command-failed', exitCode: 3 } }, kind)
      t.equal(engine.commandStarts, 1)
      t.equal(engine.containers.length, 1)
    }
  }
)

t.test('a command that was to stop before it was made is not made after a crash', async (t) => {
  const engine = withFirstRelease()
  const asked = stepRun(stateAt(engine, once(2), 'create-container'), { kind: 'cancelled', atMs: 3 }).state
  const { effects } = stepRun(asked, { kind: 'resumed', atMs: 3 })
  t.match(effects, [{ kind: 'execute', step: { kind: 'remove-container' } }])
})

t.test("a command of an earlier release that still runs is in nobody's way", async (t) => {
  const engine = withFirstRelease()
  stateAt(engine, once(2), 'await-command')
  const left = engine.containers.find((one) => one.owner?.purpose === 'once')
  if (left === undefined) throw new Error('the command left no container')
  left.state = 'running'
  const body = releaseBody(2, spec, image)
  const stage: Task = {
    ...taskOf(3, 2),
    command: sampleCommand(3, { ...(stageBody(2, spec, image) as object) })
  }
  t.match(finish(engine, stage, noTrouble).outcome, { status: 'succeeded' })
  t.match(finish(engine, rehearse(4), noTrouble).outcome, { status: 'succeeded' })
  t.match(finish(engine, once(5), noTrouble).outcome, { status: 'succeeded', result: { exitCode: 0 } })
  const release: Task = { ...taskOf(6, 2), command: sampleCommand(6, body) }
  t.match(finish(engine, release, noTrouble).outcome, { status: 'succeeded', serving: 'new', release: 2 })
  t.equal(engine.commandStarts, 2)
  t.ok(engine.containers.includes(left), 'and nobody stops it')
})

t.test('a rehearsal leaves what serves and nothing else, however it ends', async (t) => {
  fc.assert(
    fc.property(anyTrouble({ crashAt: 30, failAt: 3, cancelAt: 6 }), fc.boolean(), (trouble, isBroken) => {
      const engine = withFirstRelease()
      engine.isNextBroken = isBroken
      const { outcome } = finish(engine, rehearse(2), trouble)
      return (
        (outcome?.status !== 'succeeded' || !isBroken) &&
        outcome?.serving === 'old' &&
        engine.containers.length === 1 &&
        engine.running()[0] === 1
      )
    }),
    { numRuns: 300 }
  )
  t.pass('300 runs')
})

t.test('a rehearsal that an engine breaks off is removed once it answers', async (t) => {
  const waiting = stateAt(withFirstRelease(), rehearse(2), 'await-healthy')
  const { state, effects } = stepRun(waiting, { kind: 'step-ended', atMs: 2, result: unknown })
  t.equal(state.phase, 'undoing')
  t.match(effects, [{ kind: 'execute', step: { kind: 'remove-container' } }])
})

t.test('a rehearsal removes what an earlier one left behind', async (t) => {
  const engine = withFirstRelease()
  const left = stateAt(engine, rehearse(2), 'await-healthy')
  t.equal(left.phase, 'acting')
  t.equal(engine.containers.length, 2)
  t.match(finish(engine, rehearse(3), noTrouble).outcome, {
    status: 'succeeded',
    result: { kind: 'rehearse' }
  })
  t.equal(engine.containers.length, 1)
})

t.test('no other plan counts a container of a command or a rehearsal as serving', async (t) => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1), noTrouble)
  stateAt(engine, rehearse(2), 'await-healthy')
  stateAt(engine, once(3), 'await-command')
  t.equal(engine.containers.length, 3)
  const same = finish(engine, taskOf(4, 1), noTrouble)
  t.match(same.outcome, { status: 'succeeded', serving: 'new', release: 1 })
  t.ok(same.isUntouched, 'it runs exactly')
  finish(engine, taskOf(5, 2), noTrouble)
  const helpers = () => engine.containers.filter((one) => one.owner?.purpose !== 'serving').length
  t.equal(helpers(), 2, 'a release leaves them alone')
  const back = { command: sampleCommand(6, { kind: 'revert', from: 2, to: 1 }) }
  finish(engine, { ...taskOf(6, 2), ...back }, noTrouble)
  t.same(engine.running(), [1])
  t.equal(helpers(), 2, 'so does a revert')
  const settle = { command: sampleCommand(7, { kind: 'settle', release: 1, keepImages: 1 }) }
  finish(engine, { ...taskOf(7, 1), ...settle }, noTrouble)
  t.equal(helpers(), 0, 'what is left over is tidied up')
  t.same(engine.running(), [1])
})

t.test('removing a service removes what is left of commands too, unless containers are named', async (t) => {
  const engine = withFirstRelease()
  stateAt(engine, rehearse(2), 'await-healthy')
  const [serving, helper] = engine.containers
  const removeOf = (number: number, body: object): Task => ({
    ...taskOf(number, 1),
    command: sampleCommand(number, { kind: 'remove', ...body })
  })
  const id = (text: string | undefined) =>
    `${text}${'0'.repeat(12)}`.replaceAll(/[^0-9a-f]/g, 'd').slice(0, 12)
  for (const one of engine.containers) one.id = id(one.id)
  const stranger = 'f'.repeat(12)
  const named = removeOf(3, { release: null, containers: [helper?.id, stranger] })
  const first = finish(engine, named, noTrouble)
  t.match(first.outcome, { status: 'succeeded', serving: 'old', release: 1 })
  t.same(engine.containers, [serving])
  stateAt(engine, rehearse(4), 'await-healthy')
  const all = finish(engine, removeOf(5, { release: null }), noTrouble)
  t.match(all.outcome, { status: 'succeeded', serving: 'none' })
  t.same(engine.containers, [])
})

t.test('a plan of a service that HAProxy serves looks for it', async (t) => {
  const state = finish(new TrafficEngine(), plan(1, {}, { spec: startFirstSpec() }), noTrouble)
  t.same(
    state.steps.map(({ kind }) => kind),
    ['check-disk', 'look-for-proxy', 'check-ports', 'look-for-image']
  )
  t.match(state.outcome, { status: 'succeeded', result: { kind: 'plan', refusals: [] } })
})

t.test('a plan says what a release would do and does none of it', async (t) => {
  const engine = withFirstRelease()
  const state = finish(engine, plan(2), noTrouble)
  t.same(
    state.steps.map(({ kind }) => kind),
    ['check-disk', 'check-ports', 'look-for-image']
  )
  t.match(state.outcome, {
    status: 'succeeded',
    result: {
      kind: 'plan',
      isRunning: false,
      serves: { release: 1, image: `registry.test/web@${sampleDigest}` },
      refusals: []
    }
  })
  const result = state.outcome?.status === 'succeeded' ? state.outcome.result : undefined
  t.same(result?.kind === 'plan' && result.steps.slice(-6), [
    'tag it longshore/web:production-r2',
    'create web-r2-0',
    'stop web-r1-0 and keep it',
    'start web-r2-0',
    'wait until healthy: web-r2-0',
    'watch for 300 ms: web-r2-0'
  ])
  t.equal(engine.containers.length, 1)
})

t.test('a plan says of an image whether it would be fetched', async (t) => {
  const fetching = (pullPolicy: ServiceSpec['pullPolicy'], task: Partial<Task> = {}) => {
    const { outcome } = finish(
      withFirstRelease(),
      plan(2, task, { spec: sampleSpec({ pullPolicy }) }),
      noTrouble
    )
    const result = outcome?.status === 'succeeded' ? outcome.result : undefined
    return result?.kind === 'plan' ? result.steps.find((step) => / (fetch|use) /.test(` ${step}`)) : undefined
  }
  const image = `registry.test/web@${sampleDigest}`
  t.equal(fetching('missing'), `fetch ${image} unless it is here`)
  t.equal(fetching('always'), `fetch ${image}, also when it is here`)
  t.equal(fetching('never'), `use ${image}, which must be here: it is never fetched`)
  const registry = { kind: 'registry' } as const
  const artifact = { kind: 'artifact' } as const
  const mirror = { kind: 'mirror', at: 'mirror.test' } as const
  const refused = [{ source: mirror, code: 'policy' as const, detail: 'not here' }]
  const from = (sources: UsableSources) => fetching('missing', { sources })
  t.equal(from({ allowed: [registry], refused: [] }), `fetch ${image} unless it is here`)
  t.equal(
    from({ allowed: [registry, artifact], refused: [] }),
    `fetch ${image} from registry, then artifact unless it is here`
  )
  t.equal(
    from({ allowed: [artifact], refused }),
    `fetch ${image} from artifact (not allowed here: mirror:mirror.test) unless it is here`
  )
})

t.test('a plan collects every refusal that it can see', async (t) => {
  const engine = withFirstRelease()
  engine.containers.push({
    ...(engine.containers[0] as SimulatedEngine['containers'][number]),
    id: 'stranger',
    name: 'fixed',
    owner: null
  })
  const objections = [{ code: 'policy' as const, detail: 'not here' }]
  const named = plan(2, { objections }, { spec: sampleSpec({ containerName: 'fixed' }) })
  const { outcome } = finish(engine, named, noTrouble)
  t.match(outcome, {
    status: 'succeeded',
    result: { refusals: [{ code: 'policy' }, { code: 'name-taken' }] }
  })
  for (const one of engine.containers) if (one.id === 'stranger') one.isOfAgent = true
  const over = plan(2, {}, { spec: sampleSpec({ containerName: 'fixed' }), replace: 'fixed' })
  t.match(
    finish(engine, over, noTrouble).outcome,
    { result: { refusals: [{ code: 'name-taken', detail: /fixed is the agent itself/ }] } },
    'the agent gives nobody its own place'
  )
  const busy = finish(engine, plan(3), { crashes: new Set([3]), failAt: 1 })
  t.match(busy.outcome, {
    status: 'succeeded',
    result: { refusals: [{ code: 'port-taken', detail: 'as the test wanted' }] }
  })
  const unsupported = [{ code: 'unsupported' as const, detail: 'too new' }]
  const impossible = finish(engine, plan(4, { requests: [], objections: unsupported }), noTrouble)
  t.match(impossible.outcome, { result: { steps: [], refusals: unsupported } })
})

t.test('a plan for what runs already says so, unless it is to be recreated', async (t) => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 2), noTrouble)
  t.match(finish(engine, plan(2), noTrouble).outcome, { result: { isRunning: true, steps: { length: 5 } } })
  const anew = finish(engine, plan(3, {}, { recreate: true }), noTrouble)
  t.match(anew.outcome, { result: { isRunning: true, serves: { release: 2 } } })
  t.match(JSON.stringify(anew.outcome), 'stop web-r2-0 and keep it')
})

t.test('containers beside those that serve attract no traffic', async (t) => {
  const loud = sampleSpec({
    labels: { 'traefik.enable': 'true' },
    networks: [{ name: 'front', aliases: ['web'] }],
    containerName: 'web',
    ports: [{ target: 80, published: 80, hostIp: '127.0.0.1', protocol: 'tcp' }],
    tty: true,
    stdinOpen: true,
    replicas: 3
  })
  const base = { release: 2, image, spec: loud } as never
  const quiet = { labels: {}, networks: [{ name: 'front', aliases: [] }], containerName: null }
  const command = specOfCommand({ ...(base as object), kind: 'run-once', command: ['migrate'] } as never)
  t.match(command, {
    ...quiet,
    command: ['migrate'],
    healthcheck: { test: ['NONE'] },
    replicas: 1,
    tty: false,
    stdinOpen: false
  })
  t.same(command.ports, [])
  const rehearsed = specOfRehearsal({ ...(base as object), kind: 'rehearse', replace: null } as never)
  t.match(rehearsed, { ...quiet, replicas: 3, restart: { name: 'no' } })
  t.same(rehearsed.ports, [{ target: 80, published: null, hostIp: '127.0.0.1', protocol: 'tcp' }])
})

t.test('a state in the journal of an older agent is taken up', async (t) => {
  const { found, task, ...rest } = stateAt(withFirstRelease(), taskOf(2, 2), 'retire-container')
  const { digest, image: staged, warnings } = found
  const { releaseCommand: _, ...oldSpec } = spec
  const body = { ...task.command.body, spec: oldSpec }
  const stored = {
    ...rest,
    found: { digest, image: staged, warnings },
    task: { ...task, command: { ...task.command, body } }
  }
  const revived = reviveRun(stored as never)
  t.same(revived.found, {
    digest: null,
    image: null,
    served: null,
    manifest: null,
    warnings: [],
    exit: null,
    forecast: null,
    traffic: null,
    notes: [],
    upgraded: null
  })
  t.equal(revived.position, rest.position)
  t.match(revived.task.command.body, { spec: { releaseCommand: null } })
})
