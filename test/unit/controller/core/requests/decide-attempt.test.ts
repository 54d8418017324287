// A repeated request gets the outcome of the first, a new attempt, or a refusal; never the outcome of another request.
import type { DeploymentId } from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import { type DeployRequest, deployRequest } from '../../../../../packages/controller/src/api/schemas.ts'
import {
  type Attempt,
  decideAttempt,
  type FormerAttempt,
  type KeptKey
} from '../../../../../packages/controller/src/core/requests/decide-attempt.ts'
import { requestText } from '../../../../../packages/controller/src/core/requests/request-text.ts'

const idOf = (number: number) => `dep_${String(number).padStart(20, '0')}` as DeploymentId
const outcomes = ['succeeded', 'reverted', 'mixed', 'refused', 'cancelled'] as const
const release = fc.option(fc.integer({ min: 1, max: 3 }))
const arbitraryFormer: fc.Arbitrary<FormerAttempt> = fc.record({
  outcome: fc.option(fc.constantFrom(...outcomes)),
  services: fc.option(fc.array(fc.record({ release, current: release }), { minLength: 1, maxLength: 3 }))
})
const arbitraryKept: fc.Arbitrary<KeptKey> = fc.record({
  request: fc.constantFrom('one', 'two'),
  first: fc.constantFrom(idOf(1), idOf(2)),
  deployment: fc.constantFrom(idOf(1), idOf(2), idOf(3))
})

t.test('whatever was before, the answer follows from the rule', async (t) => {
  const seen = new Set<Attempt['kind']>()
  fc.assert(
    fc.property(
      fc.option(arbitraryKept, { nil: undefined }),
      fc.option(arbitraryFormer, { nil: undefined }),
      fc.constantFrom('one', 'two'),
      (kept, former, request) => {
        const attempt = decideAttempt(kept, former, request)
        seen.add(attempt.kind)
        const isTrueStill =
          former?.outcome === 'succeeded' &&
          former.services?.every((one) => one.release === one.current) === true
        switch (attempt.kind) {
          case 'fresh':
            return kept === undefined
          case 'conflict':
            return kept?.request !== request && attempt.first === kept?.first
          case 'attach':
            return (
              kept?.request === request &&
              attempt.deployment === kept.deployment &&
              (former?.outcome === null || isTrueStill)
            )
          case 'again':
            return (
              kept?.request === request &&
              attempt.attemptOf === kept.first &&
              former?.outcome !== null &&
              !isTrueStill
            )
          default:
            return attempt satisfies never
        }
      }
    ),
    { numRuns: 500 }
  )
  t.same([...seen].sort(), ['again', 'attach', 'conflict', 'fresh'])
})

const requestOf = (change: object = {}): DeployRequest =>
  deployRequest.parse({
    service: 'api',
    environment: 'staging',
    what: { by: 'tag', tag: '1' },
    idempotencyKey: 'build-1',
    ...change
  })

t.test('what changes anything on a host makes another request, and nothing else does', async (t) => {
  const same = [
    {},
    { reason: 'because' },
    { idempotencyKey: 'build-2' },
    { what: { tag: '1', by: 'tag' } },
    { services: [{ service: 'api' }] }
  ]
  t.equal(new Set(same.map((change) => requestText(requestOf(change)))).size, 1)
  const others = [
    {},
    { service: 'web' },
    { what: { by: 'tag', tag: '2' } },
    { what: { by: 'rollback', release: null } },
    { mode: 'rehearse' },
    { recreate: true },
    { offline: 'skip' },
    { replace: 'old' },
    { services: [{ service: 'api' }, { service: 'web' }] },
    { services: [{ service: 'api' }, { service: 'web', what: { by: 'tag', tag: '2' } }] }
  ]
  t.equal(new Set(others.map((change) => requestText(requestOf(change)))).size, others.length)
})

t.test('a request that contradicts itself is refused by its shape', async (t) => {
  const wrong = [
    { services: [{ service: 'web' }] },
    { services: [{ service: 'api' }, { service: 'api' }] },
    { mode: 'remove' },
    { what: { by: 'nothing' } },
    { mode: 'converge' },
    { idempotencyKey: '' },
    { mode: 'remove', what: { by: 'nothing' }, services: [{ service: 'api', what: { by: 'current' } }] }
  ]
  for (const change of wrong) t.throws(() => requestOf(change), JSON.stringify(change))
  t.match(requestOf({ mode: 'remove', what: { by: 'nothing' } }), { mode: 'remove' })
})
