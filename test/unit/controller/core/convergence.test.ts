// What the controller does by itself about a host that differs: when it starts, waits, gives up, and never acts.
import fc from 'fast-check'
import t from 'tap'
import {
  afterReturn,
  backoffMs,
  begun,
  type ConvergenceDecision,
  type ConvergenceQuestion,
  decideConvergence,
  ended,
  forgetAfterMs,
  isGivenUp,
  isWorthKeeping,
  maxTries,
  mayLeave,
  type TriesSoFar,
  type TryEnd
} from '../../../../packages/controller/src/core/convergence/decide.ts'
import { admit, maxMissingAtOnce } from '../../../../packages/controller/src/core/convergence/pace.ts'
import type { HostJudgement } from '../../../../packages/controller/src/core/targets/judge-host.ts'

const right: HostJudgement = { state: 'running', release: 7, unwanted: [] }
const missing: HostJudgement = {
  state: 'missing',
  release: null,
  drift: 'runs nothing',
  driftKind: 'missing',
  unwanted: []
}
const stale: HostJudgement = {
  state: 'running',
  release: 6,
  drift: 'runs release 6',
  driftKind: 'stale',
  unwanted: []
}
const changed: HostJudgement = { ...right, drift: 'is stopped', driftKind: 'changed' }
const extra: HostJudgement = { ...right, drift: 'has it', driftKind: 'extra', unwanted: ['aaa', 'bbb'] }
const desired = { release: 7, generation: 3 }
const dep = 'dep_00000000000000000001' as TriesSoFar['deployment'] & string
const question: ConvergenceQuestion = {
  nowMs: 1_000_000,
  desired,
  judgement: right,
  soFar: undefined,
  isLeft: false,
  isHealing: false,
  isBusy: false,
  trustedFromMs: 0,
  mayLeave: false
}
const decide = (change: Partial<ConvergenceQuestion>) => decideConvergence({ ...question, ...change })
const begunAt = (tries: number): TriesSoFar =>
  begun(desired, { tries, deployment: dep, servedNothing: false })
const failedOnce = ended(begunAt(1), { kind: 'failed', reason: 'no room' }, question.nowMs)

t.test('brings what is missing or stale, and leaves alone what is right', async (t) => {
  t.same(decide({}), { kind: 'nothing', isAtRest: true })
  t.same(decide({ judgement: missing }), {
    kind: 'start',
    action: { kind: 'bring', recreate: false },
    tries: 1
  })
  t.same(decide({ judgement: stale }), {
    kind: 'start',
    action: { kind: 'bring', recreate: false },
    tries: 1
  })
})

t.test('repairs what was changed by hand only where healing is on', async (t) => {
  t.same(decide({ judgement: changed }), { kind: 'nothing', isAtRest: false })
  t.same(decide({ judgement: changed, isHealing: true }), {
    kind: 'start',
    action: { kind: 'bring', recreate: true },
    tries: 1
  })
})

t.test('takes away what nothing wants, container by container, once it may', async (t) => {
  const gone = { desired: { release: null, generation: 3 }, judgement: extra }
  t.same(decide(gone), { kind: 'nothing', isAtRest: false })
  t.same(decide({ ...gone, mayLeave: true }), {
    kind: 'start',
    action: { kind: 'remove', containers: ['aaa', 'bbb'] },
    tries: 1
  })
})

t.test('lets hosts go once the service runs where it belongs, whatever stands beside it', async (t) => {
  const on = (...judgements: HostJudgement[]) =>
    mayLeave(
      { release: 7 },
      judgements.map((judgement) => ({ isPlaced: true, judgement }))
    )
  const beside: HostJudgement = { ...right, drift: 'a rehearsal still runs', driftKind: 'extra' }
  t.ok(on(right, beside))
  t.notOk(on(right, missing))
  t.notOk(on(right, { ...beside, state: 'restarting' }))
  t.notOk(on(right, changed))
})

t.test('waits longer after each failure, then says that it cannot', async (t) => {
  let soFar: TriesSoFar | undefined
  let nowMs = 0
  const waits: number[] = []
  for (let tries = 1; tries <= maxTries; tries += 1) {
    t.match(decide({ judgement: missing, soFar, nowMs }), { kind: 'start', tries })
    soFar = ended(begunAt(tries), { kind: 'failed', reason: 'no room' }, nowMs)
    const next = decide({ judgement: missing, soFar, nowMs })
    if (next.kind !== 'wait') break
    waits.push(next.untilMs - nowMs)
    nowMs = next.untilMs
  }
  t.same(waits, backoffMs)
  t.same(decide({ judgement: missing, soFar, nowMs }), { kind: 'give-up', reason: 'no room' })
  t.ok(soFar !== undefined && isGivenUp(soFar))
})

t.test(
  'recreates what a successful try left as it was, and says so when that does not help either',
  async (t) => {
    const after = (tries: number) => ended(begunAt(tries), { kind: 'succeeded' }, question.nowMs)
    const later = { judgement: stale, nowMs: question.nowMs + Math.max(...backoffMs) }
    t.match(decide({ ...later, soFar: after(1) }), { kind: 'start', action: { recreate: true }, tries: 2 })
    t.same(decide({ ...later, soFar: after(maxTries) }), {
      kind: 'give-up',
      reason: '5 tries succeeded, and yet: runs release 6'
    })
  }
)

t.test('begins anew after another deployment, and where the host was right for long', async (t) => {
  t.match(decide({ judgement: missing, soFar: failedOnce }), { kind: 'wait' })
  const other = { release: 8, generation: 4 }
  t.match(decide({ judgement: missing, soFar: failedOnce, desired: other }), { kind: 'start', tries: 1 })
  const again = { release: 7, generation: 5 }
  t.match(decide({ judgement: missing, soFar: failedOnce, desired: again }), { kind: 'start', tries: 1 })
  const good = ended(begunAt(3), { kind: 'succeeded' }, question.nowMs)
  t.ok(isWorthKeeping(good, question.nowMs))
  const nowMs = question.nowMs + forgetAfterMs
  t.notOk(isWorthKeeping(good, nowMs))
  t.match(decide({ judgement: missing, soFar: good, nowMs }), { kind: 'start', tries: 1 })
})

t.test(
  'tries a host again that was given up and has come back, but not sooner than after the longest wait',
  async (t) => {
    const last = ended(begunAt(maxTries), { kind: 'failed', reason: 'no room' }, question.nowMs)
    t.match(decide({ judgement: missing, soFar: last }), { kind: 'give-up' })
    const back = afterReturn(last)
    const untilMs = question.nowMs + Math.max(...backoffMs)
    t.same(decide({ judgement: missing, soFar: back }), { kind: 'wait', untilMs })
    t.match(decide({ judgement: missing, soFar: back, nowMs: untilMs }), { kind: 'start', tries: 1 })
    t.equal(afterReturn(failedOnce), failedOnce, 'one that has tries left keeps its count')
  }
)

t.test('waits no longer than it should when the clock was set back', async (t) => {
  const nowMs = question.nowMs - 500_000
  t.match(decide({ judgement: missing, soFar: failedOnce, nowMs }), { kind: 'start', tries: 2 })
})

t.test('counts no try that a deployment came before', async (t) => {
  const soFar = ended(begunAt(2), { kind: 'preempted' }, question.nowMs)
  t.match(decide({ judgement: missing, soFar }), { kind: 'start', tries: 2 })
})

t.test('does not act on what the host said before its last run was told', async (t) => {
  const soon = question.nowMs + 2000
  t.same(decide({ judgement: missing, trustedFromMs: soon }), { kind: 'wait', untilMs: soon })
  t.match(decide({ judgement: missing, isBusy: true }), { kind: 'wait' })
})

t.test('forgets no failed try for what the host said before it ended', async (t) => {
  const soon = question.nowMs + 2000
  const asked = { soFar: failedOnce, trustedFromMs: soon }
  t.same(decide(asked), { kind: 'wait', untilMs: soon })
  t.same(decide({ ...asked, nowMs: soon }), { kind: 'nothing', isAtRest: true })
})

const judgement = fc.record({
  state: fc.constantFrom('running', 'missing', 'stopped', 'silent', 'unknown'),
  release: fc.option(fc.constantFrom(6, 7)),
  driftKind: fc.constantFrom('missing', 'extra', 'changed', 'crash-looping', 'stale', 'unknown', undefined),
  unwanted: fc.array(fc.constantFrom('aaa', 'bbb', 'ccc'), { maxLength: 3 })
}) as fc.Arbitrary<HostJudgement>
const anyDesired = fc.record({ release: fc.option(fc.constantFrom(6, 7)), generation: fc.constantFrom(3, 4) })
const seldom = fc.constantFrom(false, false, false, false, true)
const anyQuestion: fc.Arbitrary<ConvergenceQuestion> = fc.record({
  nowMs: fc.nat(2_000_000),
  desired: anyDesired,
  judgement,
  soFar: fc.option(
    fc.record({
      release: fc.option(fc.constantFrom(6, 7)),
      generation: fc.constantFrom(3, 4),
      tries: fc.nat(maxTries),
      deployment: fc.constantFrom(null, null, null, dep),
      servedNothing: fc.boolean(),
      nextAtMs: fc.option(fc.nat(2_000_000)),
      endedAtMs: fc.option(fc.nat(2_000_000)),
      reason: fc.option(fc.constant('no room'))
    }),
    { nil: undefined }
  ),
  isLeft: seldom,
  isHealing: fc.boolean(),
  isBusy: seldom,
  trustedFromMs: fc.constantFrom(0, 0, 0, 1_500_000),
  mayLeave: fc.boolean()
})

t.test('never starts what it must not', async (t) => {
  let starts = 0
  const holds = fc.property(anyQuestion, (asked) => {
    const decision: ConvergenceDecision = decideConvergence(asked)
    if (decision.kind === 'wait') return decision.untilMs > asked.nowMs
    if (decision.kind !== 'start') return true
    starts += 1
    const { action } = decision
    const { driftKind, state, unwanted } = asked.judgement
    const isHandMade = driftKind === 'changed' || driftKind === 'crash-looping'
    return (
      !asked.isLeft &&
      !asked.isBusy &&
      state !== 'silent' &&
      driftKind !== 'unknown' &&
      (asked.soFar?.deployment ?? null) === null &&
      decision.tries <= maxTries &&
      (action.kind === 'remove'
        ? asked.desired.release === null &&
          asked.mayLeave &&
          action.containers.every((id) => unwanted.includes(id))
        : asked.desired.release !== null && (asked.isHealing || !isHandMade))
    )
  })
  fc.assert(holds, { numRuns: 5000 })
  t.ok(starts > 200, `${starts} of the questions led to a start`)
})

type Happening = { afterMs: number; end: TryEnd; isBack: boolean }
const happening: fc.Arbitrary<Happening> = fc.record({
  afterMs: fc.nat(400_000),
  end: fc.oneof(
    fc.constant({ kind: 'succeeded' } as const),
    fc.constant({ kind: 'failed', reason: 'no room' } as const),
    fc.constant({ kind: 'preempted' } as const)
  ),
  isBack: fc.boolean()
})

/** Starts that counted, of a host that stays as it is whatever is tried, asked at every moment that matters. */
const countStarts = (
  happenings: readonly Happening[],
  returns: boolean
): { starts: number; nowMs: number } => {
  let soFar: TriesSoFar | undefined
  let nowMs = 0
  let starts = 0
  for (const { afterMs, end, isBack } of happenings) {
    const decision = decide({ judgement: missing, soFar, nowMs })
    if (decision.kind === 'wait') nowMs = decision.untilMs
    if (decision.kind === 'give-up' && soFar !== undefined) {
      soFar = { ...soFar, reason: decision.reason }
      if (returns && isBack) soFar = afterReturn(soFar)
      nowMs += afterMs
    }
    if (decision.kind !== 'start') continue
    soFar = ended(begunAt(decision.tries), end, nowMs)
    if (end.kind !== 'preempted') starts += 1
  }
  return { starts, nowMs }
}

t.test('never tries more than five times for one release and one life of the host', async (t) => {
  const happenings = fc.array(happening, { maxLength: 60, size: 'max' })
  fc.assert(fc.property(happenings, (all) => countStarts(all, false).starts <= maxTries))
  const longest = Math.max(...backoffMs)
  fc.assert(
    fc.property(happenings, (all) => {
      const { starts, nowMs } = countStarts(all, true)
      return starts <= maxTries * (1 + Math.floor(nowMs / longest))
    })
  )
  t.equal(
    countStarts(
      Array.from({ length: 60 }, () => ({
        afterMs: 0,
        end: { kind: 'failed', reason: 'no room' },
        isBack: false
      })),
      false
    ).starts,
    maxTries
  )
})

t.test('lets hosts where nothing runs go together, the others as a deployment would', async (t) => {
  const one = { unit: 'count', value: 1 } as const
  const empty = Array.from({ length: 60 }, (_, index) => ({ index, servesNothing: true }))
  const serving = Array.from({ length: 4 }, (_, index) => ({ index: 100 + index, servesNothing: false }))
  const at = { parallelism: one, hosts: 64 }
  const admitted = admit([], [...serving, ...empty], at)
  t.equal(admitted.filter(({ servesNothing }) => servesNothing).length, maxMissingAtOnce)
  t.same(
    admitted.filter(({ servesNothing }) => !servesNothing).map(({ index }) => index),
    [100]
  )
  t.same(admit([{ servesNothing: false }], serving, at), [])
  t.equal(admit([], serving, { parallelism: { unit: 'percent', value: 50 }, hosts: 4 }).length, 2)
  t.equal(admit([], serving, { parallelism: { unit: 'count', value: 0 }, hosts: 4 }).length, 4, 'all at once')
})
