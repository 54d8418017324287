// How the page writes ages, amounts and addresses.
import t from 'tap'
import { buildAddress } from '../../../packages/dashboard/src/core/build-address.ts'
import { describeAge } from '../../../packages/dashboard/src/core/describe-age.ts'
import { defaultWish } from '../../../packages/dashboard/src/core/log-wish.ts'
import { addressOf, type Route, readRoute } from '../../../packages/dashboard/src/core/read-route.ts'
import { showBytes, showPace, showShare } from '../../../packages/dashboard/src/core/show-amount.ts'

t.test('an age is said in its largest unit, and clocks that differ a little make no future', async (t) => {
  const now = 1_000_000_000
  const ages = [0, 999, 1000, 59_999, 60_000, 3_600_000, 86_400_000 * 3, -3000, -60_000]
  t.same(
    ages.map((age) => describeAge(now - age, now)),
    ['now', 'now', '1 s ago', '59 s ago', '1 min ago', '1 h ago', '3 d ago', 'now', 'in 1 min']
  )
})

t.test('a build leads somewhere only by http', async (t) => {
  t.equal(buildAddress('https://ci.example/job/7/'), 'https://ci.example/job/7/')
  t.equal(buildAddress('HTTP://ci.example'), 'http://ci.example/')
  for (const name of ['jenkins-api-7', 'javascript:alert(1)', ' https://x', 'https://', 'data:text/html,x'])
    t.equal(buildAddress(name), null, name)
})

t.test('amounts are short', async (t) => {
  t.same([0, 1023, 1536, 1024 ** 3 * 250].map(showBytes), ['0 B', '1023 B', '1.5 KiB', '250 GiB'])
  t.equal(showShare(1, 3), '33 %')
  t.equal(showShare(1, 0), null)
  t.equal(showShare(null, 3), null)
  const pace = (canary: object | null, parallelism: object): string =>
    showPace({ canary, parallelism } as unknown as Parameters<typeof showPace>[0])
  const count = (value: number) => ({ unit: 'count', value })
  t.equal(pace(count(1), { unit: 'percent', value: 10 }), 'first 1, then 10 % at a time')
  t.equal(pace(null, count(0)), 'all at once')
})

t.test('an address leads to the view that it was made for, and any other one to the fleet', async (t) => {
  const routes: Route[] = [
    { view: 'fleet' },
    { view: 'host', id: 'agt_1' },
    { view: 'deployments' },
    { view: 'deployment', id: 'dep_1' },
    { view: 'service', environment: 'staging', service: 'a/b' },
    { view: 'logs', environment: null, service: null, wish: defaultWish },
    {
      view: 'logs',
      environment: 'staging',
      service: 'a/b?',
      wish: { ...defaultWish, hosts: ['web-1'], grep: 'a/b?c#d' }
    },
    { view: 'audit' },
    { view: 'tokens' }
  ]
  for (const route of routes) t.same(readRoute(addressOf(route)), route)
  for (const other of ['', '#', '#/nothing', '#/hosts', '#/services/x', '#/%zz'])
    t.same(readRoute(other), { view: 'fleet' })
})
