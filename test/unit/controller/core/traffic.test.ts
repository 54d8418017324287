// How figures of hosts become those of a service, which canaries are compared, and what a deployment keeps of traffic.
import fc from 'fast-check'
import t from 'tap'
import { commandBody } from '../../../../packages/controller/src/core/delivery/command-body.ts'
import type { Effect } from '../../../../packages/controller/src/core/deployment/events.ts'
import {
  addCounts,
  type Counts,
  countsSince,
  noCounts,
  sumFigures
} from '../../../../packages/controller/src/core/traffic/sum-traffic.ts'
import { sampleRouting, sampleSpec } from '../../../support/run-samples.ts'
import {
  current,
  digestOf,
  failed,
  released,
  requestOf,
  requestOfServices,
  rolloutOf,
  Scene,
  staged,
  wentBack
} from './deployment-scenes.ts'

const figures = (change: Partial<Parameters<typeof sumFigures>[0][number]> = {}) => ({
  requestsPerSecond: 10,
  errorsPerSecond: 0,
  sessions: 4,
  upgraded: 1,
  latencyMs: 5,
  ...change
})

t.test('sums the figures of hosts, and weighs the time of an answer by requests', async (t) => {
  const busy = figures({ requestsPerSecond: 30, errorsPerSecond: 2, latencyMs: 9 })
  t.same(sumFigures([figures(), busy]), {
    requestsPerSecond: 40,
    errorsPerSecond: 2,
    errorRatio: 0.05,
    sessions: 8,
    upgraded: 2,
    latencyMs: 8
  })
  t.match(sumFigures([figures(), figures({ latencyMs: null })]), { latencyMs: 5 })
  t.match(sumFigures([figures({ requestsPerSecond: 0 })]), { errorRatio: null, latencyMs: 5 })
  t.match(sumFigures([]), { requestsPerSecond: 0, errorRatio: null, latencyMs: null })
})

t.test('counts on when an agent counts anew, and never back', async (t) => {
  t.same(countsSince(undefined, { requests: 5, errors: 1 }), { requests: 5, errors: 1 })
  t.same(countsSince({ requests: 5, errors: 1 }, { requests: 9, errors: 1 }), { requests: 4, errors: 0 })
  t.same(countsSince({ requests: 50, errors: 1 }, { requests: 9, errors: 1 }), { requests: 9, errors: 1 })
  const counts = fc.record({ requests: fc.nat(), errors: fc.nat() })
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.array(counts), (told: Counts[]) => {
        let before: Counts | undefined
        let total = noCounts
        for (const one of told) {
          const next = addCounts(total, countsSince(before, one))
          if (next.requests < total.requests || next.errors < total.errors) return false
          total = next
          before = one
        }
        return total.requests >= Math.max(0, ...told.map(({ requests }) => requests))
      })
    )
  )
})

const compared = rolloutOf({
  canary: { unit: 'count', value: 1 },
  parallelism: { unit: 'count', value: 0 },
  canaryMaxErrorRatio: 0.01
})
const ordersOf = (effects: readonly Effect[]) =>
  effects.flatMap((effect) =>
    effect.kind === 'sendCommand' && effect.order.kind === 'release' ? [effect.order] : []
  )

t.test('only the canary of a part is told to compare', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'worker'], ['a', 'b'], { rollout: compared }))
  for (const name of ['a api', 'b api', 'a worker', 'b worker']) scene.report(name, staged())
  for (const name of ['a api', 'b api', 'a worker', 'b worker']) scene.report(name, released)
  const plain = { kind: 'release', recreate: false }
  const canary = { ...plain, canaryMaxErrorRatio: 0.01 }
  t.same(ordersOf(scene.all), [canary, plain, canary, plain])
  t.equal(scene.state.outcome, 'succeeded')
})

t.test(
  'compares nothing without a canary, in a repair, a convergence, and what an older version stored',
  async (t) => {
    const { canaryMaxErrorRatio: _, ...older } = compared
    const requests = [
      requestOf(['a'], { rollout: { ...compared, canary: null } }),
      requestOf(['a'], { rollout: compared, recreate: true, current: { ...current, release: 7 } }),
      { ...requestOf(['a'], { rollout: compared }), mode: 'converge' as const },
      requestOf(['a'], { rollout: older })
    ]
    for (const request of requests) {
      const scene = new Scene(request)
      scene.report('a', staged())
      t.match(ordersOf(scene.all), [{ kind: 'release', canaryMaxErrorRatio: undefined }])
    }
  }
)

t.test('goes back when the canary is worse than before', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { rollout: compared }))
  for (const host of ['a', 'b']) scene.report(host, staged())
  scene.report('a', failed('old', 'worse-than-before', '4.0 % of requests failed, 0.1 % before'))
  t.equal(scene.state.outcome, 'reverted')
  t.equal(scene.states, 'a failed, b untouched')
  t.match(scene.state.targets[0], { code: 'worse-than-before' })
  t.match(scene.state.reason, /^host a: 4\.0 % of requests failed/)
})

t.test('keeps how traffic moved on a host that was released', async (t) => {
  const traffic = { switchMs: 4, gapMs: null, drainMs: 1900, closed: { requests: 0, upgraded: 2 } }
  const scene = new Scene(requestOf(['a', 'b']))
  for (const host of ['a', 'b']) scene.report(host, staged())
  scene.report('a', {
    ...released,
    result: { kind: 'release', containers: ['x'], traffic, notes: ['too few requests to compare'] }
  } as typeof released)
  t.same(scene.target('a').traffic, traffic)
  t.same(scene.state.warnings, ['host a: too few requests to compare'])
  scene.report('b', failed('old'))
  scene.report('a', wentBack('revert', 'old'))
  t.equal(scene.state.outcome, 'reverted')
  t.equal(scene.target('b').traffic, undefined)
})

const content = { release: 7, repository: 'api', tag: null, digest: digestOf('7'), replace: null }
t.test('sends no key that an agent of before does not know, unless it is start-first', async (t) => {
  const release = (spec: object, canaryMaxErrorRatio?: number) =>
    commandBody(
      { kind: 'release', recreate: false, ...(canaryMaxErrorRatio !== undefined && { canaryMaxErrorRatio }) },
      { ...content, spec: spec as ReturnType<typeof sampleSpec> }
    )
  const plain = release(sampleSpec())
  t.notOk('canaryMaxErrorRatio' in plain)
  if (plain.kind !== 'release') return
  t.notOk('routing' in plain.spec)
  t.notOk('canaryMaxErrorRatio' in plain.spec.update)
  const { routing: _, ...stored } = sampleSpec()
  const old = release(stored)
  t.notOk(old.kind === 'release' && 'routing' in old.spec, 'nor one of a spec from before')
  const { update } = sampleSpec()
  const routed = sampleSpec({
    routing: { ...sampleRouting, hosts: [], tls: [] },
    update: { ...update, order: 'start-first' }
  })
  t.match(release(routed, 0.1), {
    canaryMaxErrorRatio: 0.1,
    spec: { routing: sampleRouting, update: { order: 'start-first' } }
  })
})
