// What may be asked for: who must allow it, what a freeze forbids, where an image may come from, where one goes back.
import t from 'tap'
import { deployRequest } from '../../../../../packages/controller/src/api/schemas.ts'
import { formatNeed } from '../../../../../packages/controller/src/core/access/permissions.ts'
import {
  chooseFormer,
  goodReleases,
  isKept,
  type PastRelease
} from '../../../../../packages/controller/src/core/requests/choose-former.ts'
import {
  describeUnpromotable,
  refuseWay
} from '../../../../../packages/controller/src/core/requests/decide-promotion.ts'
import {
  describeFreeze,
  findFreeze
} from '../../../../../packages/controller/src/core/requests/find-freeze.ts'
import { isRing } from '../../../../../packages/controller/src/core/requests/promotion-chain.ts'
import { needsOf } from '../../../../../packages/controller/src/core/requests/wishes.ts'

const releaseOf = (number: number, outcome: PastRelease['outcome'], repository = 'r'): PastRelease => ({
  number,
  outcome,
  repository
})

t.test('each service needs its own permission, a promotion also that to read its source', async (t) => {
  const needs = (change: object) =>
    needsOf(deployRequest.parse({ service: 'api', environment: 'production', ...change })).map(formatNeed)
  t.same(needs({ what: { by: 'tag', tag: '1' } }), ['deploy:production/api'])
  t.same(needs({ what: { by: 'current' } }), ['deploy:production/api'])
  t.same(needs({ what: { by: 'nothing' }, mode: 'remove' }), ['remove:production/api'])
  const services = [
    { service: 'api' },
    { service: 'web', what: { by: 'rollback', release: null } },
    { service: 'db', what: { by: 'promote', from: 'staging' } }
  ]
  t.same(needs({ what: { by: 'tag', tag: '1' }, services }), [
    'deploy:production/api',
    'rollback:production/web',
    'deploy:production/db',
    'read:staging/db'
  ])
})

t.test('a freeze of the service is named before one of its environment', async (t) => {
  const common = { holder: 'anna', sinceMs: 0 }
  const whole = { ...common, service: null, reason: 'holiday' }
  const own = { ...common, service: 'api', reason: 'database move' }
  t.equal(findFreeze([whole, own], 'api'), own)
  t.equal(findFreeze([own, whole], 'web'), whole)
  t.equal(findFreeze([own], 'web'), undefined)
  t.equal(
    describeFreeze(own, 'staging'),
    'api in staging was locked by anna at 1970-01-01T00:00:00.000Z: database move'
  )
  t.match(describeFreeze(whole, 'staging'), /^staging was locked by anna/)
})

t.test('an environment that takes images by promotion says the command that would do', async (t) => {
  const rule = { environment: 'production', service: 'api', promotesFrom: 'staging' }
  const digest = { by: 'digest', digest: `sha256:${'0'.repeat(64)}` as never } as const
  for (const what of [{ by: 'tag', tag: '1' }, digest, { by: 'promote', from: 'test' as never }] as const) {
    t.match(refuseWay(rule, what), /: longshore promote api --from staging --to production$/)
    t.equal(refuseWay({ ...rule, promotesFrom: null }, what), null)
  }
  const others = [
    { by: 'promote', from: 'staging' as never },
    { by: 'rollback', release: 1 },
    { by: 'current' },
    { by: 'nothing' }
  ] as const
  for (const what of others) t.equal(refuseWay(rule, what), null, what.by)
})

t.test('what cannot be promoted is told with what is there', async (t) => {
  const at = { service: 'api', from: 'staging' }
  t.match(describeUnpromotable(at, undefined), /never had a release/)
  t.match(describeUnpromotable(at, releaseOf(3, 'reverted')), /release 3 was reverted/)
  t.match(describeUnpromotable(at, releaseOf(3, null)), /release 3 has not ended/)
  t.match(describeUnpromotable(at, releaseOf(3, 'succeeded')), /was removed/)
})

t.test('a rollback goes to a release that succeeded, and to no other', async (t) => {
  const releases = [
    releaseOf(6, null),
    releaseOf(5, 'reverted'),
    releaseOf(4, 'succeeded'),
    releaseOf(3, 'mixed'),
    releaseOf(2, 'succeeded'),
    releaseOf(1, 'succeeded')
  ]
  t.match(chooseFormer(releases, 4, null), { release: { number: 2 } })
  t.match(chooseFormer(releases, 2, null), { release: { number: 1 } })
  t.match(chooseFormer(releases, 1, null), {
    code: 'nothing-to-roll-back-to',
    why: /below the current one, 1/
  })
  t.match(chooseFormer(releases, null, null), {
    code: 'nothing-to-roll-back-to',
    why: /no release is current/
  })
  t.match(chooseFormer(releases, 2, 4), { release: { number: 4 } })
  t.match(chooseFormer(releases, 4, 5), { code: 'not-good', why: /never succeeded: it was reverted/ })
  t.match(chooseFormer(releases, 4, 3), { code: 'not-good', why: /it was mixed/ })
  t.match(chooseFormer(releases, 4, 6), { code: 'not-good', why: /has not succeeded yet/ })
  t.match(chooseFormer(releases, 4, 9), { code: 'unknown-release' })
  t.same(goodReleases(releases), [4, 2, 1])
})

t.test('kept are the current release, so many before it in its repository, and all later ones', async (t) => {
  const releases = [5, 4, 3, 2].map((number) => releaseOf(number, 'succeeded'))
  const all = [...releases, releaseOf(1, 'succeeded', 'elsewhere')]
  const kept = (current: number | null, keepImages: number) =>
    all.filter((one) => isKept(one, all, current, keepImages)).map(({ number }) => number)
  t.same(kept(4, 1), [5, 4, 3, 1])
  t.same(kept(5, 0), [5, 1])
  t.same(kept(null, 0), [5, 4, 3, 2, 1])
})

t.test('environments may not take their images from each other in a ring', async (t) => {
  const chain = [
    { name: 'test', promotesFrom: null },
    { name: 'staging', promotesFrom: 'test' },
    { name: 'production', promotesFrom: 'staging' }
  ]
  t.ok(isRing(chain, 'test', 'production'))
  t.ok(isRing(chain, 'test', 'test'))
  t.notOk(isRing(chain, 'production', 'test'))
  t.notOk(isRing(chain, 'other', 'staging'))
  const broken = [
    { name: 'a', promotesFrom: 'b' },
    { name: 'b', promotesFrom: 'a' }
  ]
  t.notOk(isRing(broken, 'c', 'a'), 'a ring of others ends the search too')
})
