// The machine of a run against a simulated engine: whatever step the agent dies in, the end is the same, and
// the old container is never stopped before its successor exists.
import fc from 'fast-check'
import t from 'tap'
import { planSteps, type Task } from '../../../../packages/agent/src/core/plan.ts'
import { stepRun } from '../../../../packages/agent/src/core/run.ts'
import {
  beginRun,
  type RunEvent,
  type RunState,
  type StepResult
} from '../../../../packages/agent/src/core/run-state.ts'
import type { StepKind } from '../../../../packages/agent/src/core/steps.ts'
import {
  anyTrouble,
  finish,
  noTrouble,
  SimulatedEngine,
  taskOf,
  withFirstRelease
} from '../../../support/run-machine.ts'
import { sampleCommand, sampleSpec, stageBody } from '../../../support/run-samples.ts'

const trouble = { code: 'engine-error' as const, detail: 'no', log: [] }

t.test('a release switches from the old container to the new one', async (t) => {
  const engine = withFirstRelease()
  const state = finish(engine, taskOf(2, 2), noTrouble)
  t.match(state.outcome, { status: 'succeeded', serving: 'new', release: 2 })
  t.same(engine.running(), [2])
  const kept = engine.containers.find((one) => one.owner?.release === 1)
  t.match(kept, { state: 'exited', restart: { name: 'no' } })
})

t.test('a release that fails gives the old container its restart policy back', async (t) => {
  const engine = withFirstRelease()
  engine.isNextBroken = true
  const state = finish(engine, taskOf(2, 2), noTrouble)
  t.match(state.outcome, { status: 'failed', serving: 'old', release: 1, error: { step: 'await-healthy' } })
  t.same(engine.running(), [1])
  t.match(engine.containers, [{ restart: { name: 'always' } }])
  t.equal(engine.containers.length, 1)
})

t.test('a release that fails makes the old container again when somebody pruned it', async (t) => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1), noTrouble)
  engine.isNextBroken = true
  engine.pruneBefore = 'await-healthy'
  const state = finish(engine, taskOf(2, 2), { crashes: new Set([13, 15, 17]) })
  t.match(state.outcome, { status: 'failed', serving: 'old', release: 1 })
  t.same(engine.running(), [1])
  t.match(engine.containers, [{ name: 'web-r1-0-2', restart: { name: 'always' } }])
})

t.test('a release that runs already is not touched, unless it is to be recreated', async (t) => {
  const engine = withFirstRelease()
  finish(engine, taskOf(2, 1), noTrouble)
  t.equal(engine.containers.length, 1)
  const state = finish(engine, taskOf(3, 1, { recreate: true }), noTrouble)
  t.match(state.outcome, { status: 'succeeded', result: { containers: ['web-r1-0-2'] } })
  t.same(engine.running(), [1])
})

t.test('the fixed name moves to the new container and back at the undo', async (t) => {
  const engine = new SimulatedEngine()
  const spec = sampleSpec({ containerName: 'web' })
  finish(engine, taskOf(1, 1, {}, spec), noTrouble)
  t.same(
    engine.containers.map((one) => one.name),
    ['web']
  )
  engine.isNextBroken = true
  finish(engine, taskOf(2, 2, {}, spec), noTrouble)
  t.same(
    engine.containers.map((one) => one.name),
    ['web']
  )
  engine.isNextBroken = false
  finish(engine, taskOf(3, 3, {}, spec), noTrouble)
  t.same(engine.containers.map((one) => one.name).toSorted(), ['web', 'web-r1-0'])
})

/** A container that Longshore did not make runs. */
const withStranger = (): SimulatedEngine => {
  const engine = new SimulatedEngine()
  engine.containers.push({
    id: 'stranger',
    name: 'api',
    state: 'running',
    health: 'none',
    image: 'api',
    createdAtMs: 0,
    restart: { name: 'always', maxRetries: 0 },
    owner: null,
    publishes: [],
    ownAddress: null,
    isBroken: false
  })
  return engine
}

t.test('an unmanaged container is taken over by name and serves again after a failure', async (t) => {
  const engine = withStranger()
  engine.isNextBroken = true
  const state = finish(engine, taskOf(1, 1, { replace: 'api' }), noTrouble)
  t.match(state.outcome, { status: 'failed', serving: 'old', release: null })
  t.match(engine.containers, [{ id: 'stranger', state: 'running', restart: { name: 'always' } }])

  const planOf = (body: unknown) =>
    planSteps({ ...taskOf(2, 2), command: sampleCommand(2, body) }, engine.observe(), false)
  const vote = planOf({ ...stageBody(2, sampleSpec()), replace: 'api' })
  t.match(vote, { before: { serving: 'old', release: null } }, 'the vote says that it serves')
  engine.isNextBroken = false
  finish(engine, taskOf(2, 2, { replace: 'api' }), noTrouble)
  const settle = planOf({ kind: 'settle', release: 2, keepImages: 1 })
  t.match(settle, {
    steps: [{ kind: 'remove-container', container: { id: 'stranger' }, keepsVolumes: true }, {}]
  })
})

t.test(
  'whatever step the agent dies in, either the container that is taken over serves or the new one',
  async () => {
    fc.assert(
      fc.property(anyTrouble({ crashAt: 60, failAt: 8, cancelAt: 10 }), fc.boolean(), (trouble, isBroken) => {
        const engine = withStranger()
        engine.isNextBroken = isBroken
        const { outcome } = finish(engine, taskOf(1, 1, { replace: 'api' }), trouble)
        const stranger = engine.containers.find(({ id }) => id === 'stranger')
        const isNew = outcome?.status === 'succeeded'
        return (
          outcome?.serving === (isNew ? 'new' : 'old') &&
          engine.running().length === 1 &&
          stranger?.state === (isNew ? 'exited' : 'running') &&
          stranger.restart.name === (isNew ? 'no' : 'always') &&
          engine.violations.length === 0
        )
      }),
      { numRuns: 300 }
    )
  }
)

t.test('whatever step the agent dies in, the run ends as it would have', async (t) => {
  fc.assert(
    fc.property(anyTrouble({ crashAt: 60, failAt: 8, cancelAt: 10 }), fc.boolean(), (trouble, isBroken) => {
      const engine = withFirstRelease()
      engine.isNextBroken = isBroken
      const { outcome } = finish(engine, taskOf(2, 2), trouble)
      const isNew = outcome?.status === 'succeeded'
      const expected = isNew ? 2 : 1
      const isPolicyRight = engine.containers.every(
        (one) => (one.state === 'running') === (one.restart.name === 'always')
      )
      return (
        outcome?.release === expected &&
        engine.running().length === 1 &&
        engine.running()[0] === expected &&
        engine.violations.length === 0 &&
        isPolicyRight &&
        (!isNew || [...engine.starts.values()].every((count) => count === 1))
      )
    }),
    { numRuns: 300 }
  )
  t.pass('300 runs')
})

t.test(
  'a service of several containers is on one release in full, whatever happens on the way',
  async (t) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 3 }),
        anyTrouble({ crashAt: 80, failAt: 12, cancelAt: 14 }),
        fc.boolean(),
        (before, after, trouble, isBroken) => {
          const engine = new SimulatedEngine()
          finish(engine, taskOf(1, 1, {}, sampleSpec({ replicas: before })), noTrouble)
          engine.isNextBroken = isBroken
          const next = sampleSpec({ replicas: after })
          const { outcome } = finish(engine, taskOf(2, 2, {}, next), trouble)
          const isNew = outcome?.status === 'succeeded'
          const expected = isNew ? Array(after).fill(2) : Array(before).fill(1)
          const isRight = () =>
            JSON.stringify(engine.running()) === JSON.stringify(expected) && engine.violations.length === 0
          if (!isRight() || outcome?.release !== (isNew ? 2 : 1)) return false
          const settle = sampleCommand(3, { kind: 'settle', release: isNew ? 2 : 1, keepImages: 1 })
          finish(engine, { command: settle, specHash: '', minFreeBytes: 0, requests: [] }, noTrouble)
          return isRight() && engine.containers.length === expected.length
        }
      ),
      { numRuns: 300 }
    )
    t.pass('300 runs')
  }
)

t.test('a settle spares a replica that is down beside one that is up', async (t) => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1, {}, sampleSpec({ replicas: 2 })), noTrouble)
  const crashed = engine.containers.find((one) => one.owner?.index === 1)
  if (crashed !== undefined) crashed.state = 'exited'
  const settle = sampleCommand(2, { kind: 'settle', release: 1, keepImages: 1 })
  finish(engine, { command: settle, specHash: '', minFreeBytes: 0, requests: [] }, noTrouble)
  t.equal(engine.containers.length, 2)
})

t.test('without the journal a kept container serves under the policy of its label again', async (t) => {
  const engine = withFirstRelease()
  finish(engine, taskOf(2, 2), noTrouble)
  engine.releases = []
  const command = sampleCommand(3, { kind: 'revert', from: 2, to: 1 })
  const state = finish(engine, { command, specHash: '', minFreeBytes: 0, requests: [] }, noTrouble)
  t.match(state.outcome, { status: 'succeeded', serving: 'old', release: 1 })
  t.match(engine.containers, [{ state: 'running', restart: { name: 'always' } }])
})

t.test('a revert makes what is gone from the journal, and says when it cannot', async (t) => {
  const engine = withFirstRelease()
  finish(engine, taskOf(2, 2), noTrouble)
  const revert: Task = {
    command: sampleCommand(3, { kind: 'revert', from: 2, to: 1 }),
    specHash: '',
    minFreeBytes: 0,
    requests: []
  }
  const kept = engine.containers.filter((one) => one.owner?.release === 1)
  engine.containers = engine.containers.filter((one) => one.owner?.release !== 1)
  engine.releases = []
  const lost = finish(engine, revert, noTrouble)
  t.match(lost.outcome, {
    status: 'failed',
    error: { code: 'nothing-to-revert-to' },
    serving: 'new',
    release: 2
  })
  t.same(engine.running(), [2], 'what serves is left alone')
  engine.containers.push(...kept)
  const state = finish(engine, { ...revert, command: { ...revert.command } }, { crashes: new Set([4, 7, 8]) })
  t.match(state.outcome, { status: 'succeeded', serving: 'old', release: 1 })
  t.same(engine.running(), [1])
  t.equal(engine.containers.length, 1, 'the reverted one is removed')
})

t.test(
  'a revert that cannot tidy up says what serves, and a dead container is no reason to give up',
  async (t) => {
    const revert = (number: number): Task => ({
      command: sampleCommand(number, { kind: 'revert', from: 2, to: 1 }),
      specHash: '',
      minFreeBytes: 0,
      requests: []
    })
    const engine = withFirstRelease()
    finish(engine, taskOf(2, 2), noTrouble)
    // retire, start, await, remove
    const stuck = finish(engine, revert(3), { crashes: new Set(), failAt: 3 })
    t.match(stuck.receipts.at(-1), { step: 'remove-container', outcome: 'failed' })
    t.same(engine.running(), [1])
    t.match(stuck.outcome, { status: 'succeeded', serving: 'old', release: 1 }, 'what it says is what runs')

    const half = withFirstRelease()
    finish(half, taskOf(2, 2), noTrouble)
    half.releases = []
    for (const one of half.containers) if (one.owner?.release === 1) one.state = 'dead'
    const outcome = finish(half, revert(3), noTrouble).outcome
    t.match(outcome, {
      status: 'failed',
      error: { code: 'nothing-to-revert-to' },
      serving: 'new',
      release: 2
    })
  }
)

t.test('a revert to a release of no containers says that nothing serves', async (t) => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1, {}, sampleSpec({ replicas: 0 })), noTrouble)
  finish(engine, taskOf(2, 2), noTrouble)
  const command = sampleCommand(3, { kind: 'revert', from: 2, to: 1 })
  const state = finish(engine, { command, specHash: '', minFreeBytes: 0, requests: [] }, noTrouble)
  t.same(engine.running(), [])
  t.match(state.outcome, { status: 'succeeded', serving: 'none', release: null })
})

t.test('a remove that fails does not deny what was left to serve', async (t) => {
  const engine = withFirstRelease()
  finish(engine, taskOf(2, 2), noTrouble)
  const command = sampleCommand(3, { kind: 'remove', release: 1 })
  const task: Task = { command, specHash: '', minFreeBytes: 0, requests: [] }
  const state = finish(engine, task, { crashes: new Set(), failAt: 0 })
  t.same(engine.running(), [2])
  t.match(state.outcome, { status: 'failed', release: 2 })
  t.not(state.outcome?.serving, 'none')
})

t.test('a settle removes several kept containers and spares what serves', async (t) => {
  const engine = withFirstRelease()
  finish(engine, taskOf(2, 2), noTrouble)
  finish(engine, taskOf(3, 3), noTrouble)
  t.equal(engine.containers.length, 3)
  const settle: Task = {
    command: sampleCommand(4, { kind: 'settle', release: 3, keepImages: 1 }),
    specHash: '',
    minFreeBytes: 0,
    requests: []
  }
  const state = finish(engine, settle, { crashes: new Set([5]), failAt: 0 })
  t.match(state.outcome, { status: 'succeeded', result: { warnings: [/^remove-container: /] } })
  t.same(
    engine.containers
      .map((one) => one.owner?.release)
      .toSorted()
      .at(-1),
    3
  )
  finish(engine, settle, noTrouble)
  t.same(
    engine.containers.map((one) => one.owner?.release),
    [3]
  )
})

const endWithFailedUndo = (replicas: number, failing: StepKind): RunState => {
  const engine = new SimulatedEngine()
  finish(engine, taskOf(1, 1, {}, sampleSpec({ replicas })), noTrouble)
  const observed: RunEvent = { kind: 'observed', atMs: 0, observation: engine.observe() }
  const planned = stepRun(beginRun(taskOf(2, 2, {}, sampleSpec({ replicas }))), observed).state
  const restart = planned.undo.findIndex((step) => step.kind === failing)
  const undoing = { ...planned, phase: 'undoing' as const, failure: { ...trouble, step: 'await-healthy' } }
  const failed: StepResult = { kind: 'failed', error: trouble }
  let { state } = stepRun({ ...undoing, position: restart }, { kind: 'step-ended', atMs: 1, result: failed })
  while (state.phase !== 'ended') {
    const result: StepResult = { kind: 'done', finding: { kind: 'nothing' } }
    state = stepRun(state, { kind: 'step-ended', atMs: 2, result }).state
  }
  return state
}

t.test('what answers is not known unless all of it came back healthy, or none was started', async (t) => {
  const unknown = { status: 'failed', serving: 'unknown', release: null }
  t.match(endWithFailedUndo(2, 'start-container').outcome, unknown, 'one of two may run')
  t.match(endWithFailedUndo(1, 'await-healthy').outcome, unknown, 'it runs, whatever its health check says')
  t.match(endWithFailedUndo(1, 'start-container').outcome, { status: 'failed', serving: 'none' })
})

t.test('an engine that stays away makes the run unknown only once containers were moved', async (t) => {
  const away: StepResult = {
    kind: 'unknown',
    error: { code: 'engine-unavailable', detail: 'away', log: [] }
  }
  const observed: RunEvent = { kind: 'observed', atMs: 0, observation: withFirstRelease().observe() }
  const planned = stepRun(beginRun(taskOf(2, 2)), observed).state
  const early = stepRun(planned, { kind: 'step-ended', atMs: 1, result: away }).state
  t.match(early.outcome, { status: 'failed', serving: 'old', release: 1 })
  const retiring = planned.steps.findIndex((step) => step.kind === 'retire-container')
  const late = stepRun(
    { ...planned, position: retiring },
    { kind: 'step-ended', atMs: 1, result: away }
  ).state
  t.match(late.outcome, { status: 'unknown', serving: 'unknown', release: null })
})

t.test('a run that is cancelled while it waits for its first look ends as cancelled', async (t) => {
  const begun = stepRun(beginRun(taskOf(2, 2)), { kind: 'began', atMs: 0 })
  const asked = stepRun(begun.state, { kind: 'cancelled', atMs: 1 })
  t.same(asked.effects, [{ kind: 'interrupt' }])
  const error = { code: 'engine-unavailable', detail: 'nobody there', log: [] } as const
  const ended = stepRun(asked.state, { kind: 'observing-failed', atMs: 2, error: { ...error, log: [] } })
  t.match(ended.state.outcome, { status: 'failed', error: { code: 'cancelled' }, serving: 'unknown' })
})
