// The machine of a start-first run against an engine and a HAProxy of plain data: the traffic moves before anything is
// stopped, what has the traffic runs, and every way back leads to those that served before.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Task } from '../../../../packages/agent/src/core/plan.ts'
import type { RunState } from '../../../../packages/agent/src/core/run-state.ts'
import { anyTrouble, finish, noTrouble, taskOf } from '../../../support/run-machine.ts'
import { TrafficEngine } from '../../../support/run-machine-traffic.ts'
import { sampleCommand, sampleRouting, sampleSpec, startFirstSpec } from '../../../support/run-samples.ts'

const taskFor = (number: number, body: unknown): Task => ({
  command: sampleCommand(number, body),
  specHash: '',
  minFreeBytes: 0,
  requests: []
})
const release = (number: number, spec = startFirstSpec(), more = {}): Task =>
  taskOf(number, number, more, spec)
const onPort = () => sampleSpec({ ports: startFirstSpec().ports })
const withFirst = (spec = startFirstSpec()): TrafficEngine => {
  const engine = new TrafficEngine()
  finish(engine, taskOf(1, 1, {}, spec), noTrouble)
  engine.performed.length = 0
  return engine
}
const isFine = (t: Test, engine: TrafficEngine) => t.same(engine.violations, [])
const endOf = ({ outcome }: RunState) => `${outcome?.status} ${outcome?.serving} ${outcome?.release}`

t.test('a release takes the traffic and leaves the old one stopped', async (t) => {
  const engine = withFirst()
  t.same(engine.answering(), [1])
  const state = finish(engine, release(2), noTrouble)
  t.equal(endOf(state), 'succeeded new 2')
  t.same(engine.performed, [
    'check-proxy',
    'check-ports',
    'create-own-network',
    'create-container',
    'start-container',
    'await-healthy',
    'switch-traffic',
    'drain-containers',
    'monitor',
    'retire-container'
  ])
  t.same(engine.answering(), [2])
  t.same(engine.running(), [2])
  t.match(state.outcome, { result: { traffic: { switchMs: 1, gapMs: null, drainMs: 1 } } })
  t.same(new Set(engine.containers.map((one) => one.ownAddress)).size, 2, 'each has an address of its own')
  isFine(t, engine)
})

t.test('one that dies while it is watched gives the traffic back before anything else', async (t) => {
  const engine = withFirst()
  engine.isNextDying = true
  const state = finish(engine, release(2), noTrouble)
  t.equal(endOf(state), 'failed old 1')
  t.same(engine.performed.slice(engine.performed.indexOf('monitor') + 1), [
    'switch-traffic',
    'drain-containers',
    'remove-container'
  ])
  t.same(engine.answering(), [1])
  t.equal(engine.containers.length, 1)
  isFine(t, engine)
})

t.test('former containers that were not kept running are healthy before they get traffic', async (t) => {
  const spec = startFirstSpec({ routing: { ...sampleRouting, keep: 'stopped' } })
  const engine = withFirst(spec)
  engine.isNextDying = true
  const state = finish(engine, release(2, spec), noTrouble)
  t.equal(endOf(state), 'failed old 1')
  const back = engine.performed.slice(engine.performed.indexOf('monitor') + 1)
  t.same(back, [
    'remake-container',
    'create-own-network',
    'start-container',
    'await-healthy',
    'switch-traffic',
    'drain-containers',
    'remove-container'
  ])
  t.same(engine.answering(), [1])
})

t.test('a port that a container holds is taken over once the new one is healthy', async (t) => {
  const engine = withFirst(onPort())
  t.equal(engine.route, null)
  const state = finish(engine, release(2), noTrouble)
  t.equal(endOf(state), 'succeeded new 2')
  const order = ['await-healthy', 'take-over-ports', 'monitor']
  t.same(
    engine.performed.filter((one) => order.includes(one)),
    order
  )
  t.same(engine.answering(), [2])
  isFine(t, engine)
  const back = finish(engine, release(3, onPort()), noTrouble)
  t.equal(endOf(back), 'succeeded new 3')
  t.equal(engine.route, null)
  t.same(engine.answering(), [3])
  isFine(t, engine)
})

t.test('an unmanaged container is taken over, and serves again after a failure and a removal', async (t) => {
  const engine = new TrafficEngine()
  engine.addStranger('legacy')
  engine.isNextDying = true
  const failed = finish(engine, release(1, startFirstSpec(), { replace: 'legacy' }), noTrouble)
  t.equal(endOf(failed), 'failed old null')
  t.same(engine.answering(), [0])
  t.match(engine.containers, [{ name: 'legacy', state: 'running', restart: { name: 'always' } }])
  engine.isNextDying = false
  finish(engine, release(2, startFirstSpec(), { replace: 'legacy' }), noTrouble)
  t.same(engine.answering(), [2])
  const removed = finish(engine, taskFor(3, { kind: 'remove', release: 2 }), noTrouble)
  t.equal(endOf(removed), 'succeeded old null')
  t.same(engine.answering(), [0])
  isFine(t, engine)
})

t.test('a canary that is worse than what served before is undone', async (t) => {
  const engine = withFirst()
  engine.isNextWorse = true
  const task = release(2, startFirstSpec(), { canaryMaxErrorRatio: 0.01 })
  const state = finish(engine, task, noTrouble)
  t.equal(endOf(state), 'failed old 1')
  t.match(state.outcome, { error: { code: 'worse-than-before', step: 'share-traffic' } })
  t.same(engine.answering(), [1])
  engine.isNextWorse = false
  t.equal(endOf(finish(engine, { ...task, command: { ...task.command } }, noTrouble)), 'succeeded new 2')
  isFine(t, engine)
})

t.test('a revert goes back without a gap, also to containers that are made again', async (t) => {
  for (const isPruned of [false, true]) {
    const engine = withFirst()
    finish(engine, release(2), noTrouble)
    if (isPruned) engine.containers = engine.containers.filter((one) => one.state === 'running')
    const [second] = engine.containers.filter((one) => one.owner?.release === 2)
    // Somebody else was given the address meanwhile.
    if (isPruned && second !== undefined) engine.addStranger('other')
    for (const one of engine.containers)
      if (one.name === 'other') Object.assign(one, { ownAddress: '172.30.77.10', state: 'exited' })
    engine.performed.length = 0
    const state = finish(engine, taskFor(3, { kind: 'revert', from: 2, to: 1 }), noTrouble)
    t.equal(endOf(state), 'succeeded old 1')
    t.same(engine.answering(), [1])
    t.notOk(engine.performed.includes('close-ports'))
    if (isPruned) t.match(engine.releases.at(-1), { release: 1 }, 'the new address is in the journal')
    isFine(t, engine)
  }
})

t.test('a revert to a release that publishes its own port gives the port back', async (t) => {
  const engine = withFirst(onPort())
  finish(engine, release(2), noTrouble)
  const state = finish(engine, taskFor(3, { kind: 'revert', from: 2, to: 1 }), noTrouble)
  t.equal(endOf(state), 'succeeded old 1')
  t.equal(engine.route, null)
  t.same(engine.answering(), [1])
  isFine(t, engine)
})

t.test(
  'the removal of a service lets its port go, that of one release leaves the others serving',
  async (t) => {
    const engine = withFirst()
    finish(engine, release(2), noTrouble)
    const kept = finish(engine, taskFor(3, { kind: 'remove', release: 1 }), noTrouble)
    t.equal(endOf(kept), 'succeeded old 2')
    t.same(engine.answering(), [2])
    const gone = finish(engine, taskFor(4, { kind: 'remove', release: null }), noTrouble)
    t.equal(endOf(gone), 'succeeded none null')
    t.equal(engine.route, null)
    t.same(engine.containers, [])
  }
)

t.test('what runs already gets its traffic back and is not touched otherwise', async (t) => {
  const engine = withFirst()
  engine.route = null
  const state = finish(engine, taskOf(2, 1, {}, startFirstSpec()), noTrouble)
  t.equal(endOf(state), 'succeeded new 1')
  t.same(engine.performed, ['check-proxy', 'await-healthy', 'switch-traffic'])
  t.same(engine.answering(), [1])
})

t.test('a service without ports is switched beside what runs, without HAProxy', async (t) => {
  const spec = startFirstSpec({ ports: [] })
  const engine = withFirst(spec)
  engine.isNextBroken = true
  t.equal(endOf(finish(engine, release(2, spec), noTrouble)), 'failed old 1')
  t.same(engine.running(), [1])
  engine.isNextBroken = false
  engine.performed.length = 0
  t.equal(endOf(finish(engine, release(3, spec), noTrouble)), 'succeeded new 3')
  t.same(engine.running(), [3])
  t.notOk(engine.performed.some((one) => one === 'check-proxy' || one === 'create-own-network'))
})

t.test(
  'whatever happens on the way, one release answers and it is the one that the report names',
  async (t) => {
    const shapes = ['start-first', 'stop-first'] as const
    const replicas = fc.integer({ min: 1, max: 3 })
    const fault = fc.constantFrom('none', 'broken', 'dying', 'worse')
    fc.assert(
      fc.property(
        fc.constantFrom(...shapes),
        fc.constantFrom(...shapes),
        fc.constantFrom('running', 'stopped'),
        replicas,
        fault,
        fc.boolean(),
        anyTrouble({ crashAt: 90, failAt: 16, cancelAt: 18 }),
        (from, to, keep, count, fault, isCanary, trouble) => {
          const shape = (one: (typeof shapes)[number]) =>
            one === 'start-first'
              ? startFirstSpec({ replicas: count, routing: { ...sampleRouting, keep } })
              : onPort()
          const engine = withFirst(shape(from))
          engine.isNextBroken = fault === 'broken'
          engine.isNextDying = fault === 'dying'
          engine.isNextWorse = fault === 'worse'
          const more = isCanary ? { canaryMaxErrorRatio: 0 } : {}
          const { outcome } = finish(engine, release(2, shape(to), more), trouble)
          const isNew = outcome?.status === 'succeeded'
          const expected = isNew ? 2 : 1
          const answering = engine.answering()
          return (
            outcome?.release === expected &&
            answering.length > 0 &&
            answering.every((one) => one === expected) &&
            engine.running().every((one) => one === expected) &&
            engine.violations.length === 0
          )
        }
      ),
      { numRuns: 500 }
    )
    t.pass('500 runs')
  }
)
