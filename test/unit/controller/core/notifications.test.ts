// What is told of deployments and hosts, to whom, in which words, and when it is tried again.
import type { AgentId, EnvironmentName } from '@longshore/protocol'
import t from 'tap'
import { type DeploymentView, type Notice, notice } from '../../../../packages/controller/src/api/schemas.ts'
import {
  deploymentNotices,
  givenUpNotice,
  hostNotices,
  isWanted
} from '../../../../packages/controller/src/core/notifications/compose.ts'
import {
  isDue,
  judgeTry,
  maxTotalMs,
  maxTries,
  resultOf,
  waitMs
} from '../../../../packages/controller/src/core/notifications/retry.ts'
import {
  formatSecret,
  keyOfSecret,
  signedHeaders,
  signInput,
  timestampOf
} from '../../../../packages/controller/src/core/notifications/sign-input.ts'
import {
  refusalOfUrl,
  shownTarget,
  withoutUrl
} from '../../../../packages/controller/src/core/notifications/target.ts'
import { tellSlack } from '../../../../packages/controller/src/core/notifications/tell-slack.ts'
import { at, deployment, endedAs, target } from '../../../support/controller-stand-in.ts'

const nowMs = Date.parse(at)
const typesOf = (before: DeploymentView | undefined, after: DeploymentView): string[] =>
  deploymentNotices(before, after, nowMs).map(({ type }) => type)

t.test('a deployment is told of when it starts, pauses and ends, once each', async (t) => {
  const rolling = deployment({ phase: 'rolling' })
  const paused = deployment({ phase: 'paused' })
  t.same(typesOf(undefined, deployment()), ['deployment.started'])
  t.same(typesOf(deployment(), rolling), [])
  t.same(typesOf(rolling, paused), ['deployment.paused'])
  t.same(typesOf(paused, paused), [])
  for (const outcome of ['succeeded', 'reverted', 'mixed', 'refused', 'cancelled'] as const) {
    t.same(typesOf(rolling, endedAs(outcome)), [`deployment.${outcome}`])
    t.same(typesOf(endedAs(outcome), endedAs(outcome)), [], 'what is settled after the end is not told')
  }
  t.same(typesOf(undefined, endedAs('refused')), ['deployment.refused'], 'one that never began')
})

t.test('what changes nothing, or repairs itself, is not told; a removal is', async (t) => {
  for (const mode of ['plan', 'rehearse', 'converge'] as const) {
    t.same(typesOf(undefined, deployment({ mode })), [], mode)
    t.same(typesOf(deployment({ mode }), { ...endedAs('refused'), mode }), [], mode)
  }
  t.same(typesOf(undefined, deployment({ mode: 'remove' })), ['deployment.started'])
})

t.test('a notice names services, end and the hosts that are not well, and no log', async (t) => {
  const view = endedAs('mixed', [
    target('a', { state: 'released', serving: 'new' }),
    target('b', { state: 'failed', serving: 'none', reason: 'exited with 1', log: ['PASSWORD=hunter2'] }),
    target('c', { state: 'skipped' })
  ])
  const [told] = deploymentNotices(deployment({ phase: 'rolling' }), view, nowMs)
  t.same(told, {
    type: 'deployment.mixed',
    timestamp: at,
    data: {
      deployment: view.id,
      mode: 'deploy',
      environment: 'staging',
      services: [
        {
          service: 'web',
          release: 8,
          previousRelease: 7,
          repository: 'registry.example/web',
          tag: '1.2.3',
          digest: null
        }
      ],
      outcome: 'mixed',
      reason: 'it was mixed',
      requestedBy: 'jenkins',
      build: null,
      requestedAt: at,
      endedAt: '2026-01-02T03:04:47.000Z',
      hosts: [
        { host: 'b', service: 'web', state: 'failed', serving: 'none', reason: 'exited with 1' },
        { host: 'c', service: 'web', state: 'skipped', serving: 'old', reason: null }
      ],
      hostsLeftOut: 0
    }
  })
  t.same(notice.parse(told), told, 'the documented shape has all of it')
})

t.test('a notice stays small: fifty hosts, and reasons of a few lines', async (t) => {
  const targets = Array.from({ length: 60 }, (_, number) =>
    target(`h${number}`, { state: 'failed', reason: 'x'.repeat(2000) })
  )
  const [told] = deploymentNotices(deployment(), endedAs('mixed', targets), nowMs)
  t.equal(told?.data.hosts.length, 50)
  t.equal(told?.data.hostsLeftOut, 10)
  t.equal(told?.data.hosts[0]?.reason?.length, 500)
  t.ok(JSON.stringify(told).length < 40_000)
})

const away = (environment: string, host: string) => ({
  environment: environment as EnvironmentName,
  host,
  agent: 'agt_00000000000000000001' as AgentId,
  lastSeenAtMs: nowMs
})

t.test('hosts that are lost together are one notice for each environment', async (t) => {
  const told = hostNotices('host.lost', [away('a', 'x'), away('b', 'y'), away('a', 'z')], nowMs)
  t.match(told, [
    { type: 'host.lost', data: { environment: 'a', hosts: [{ host: 'x', lastSeenAt: at }, { host: 'z' }] } },
    { type: 'host.lost', data: { environment: 'b', hosts: [{ host: 'y' }] } }
  ])
  t.same(hostNotices('host.lost', [], nowMs), [])
})

t.test('a webhook gets what it asked for, and every test', async (t) => {
  const [told] = hostNotices('host.lost', [away('staging', 'x')], nowMs)
  const test = { type: 'webhook.test', timestamp: at, data: {} } as Notice
  if (told === undefined) throw new Error('nothing was told')
  t.ok(isWanted({ environments: [], events: [] }, told))
  t.ok(isWanted({ environments: ['staging'], events: ['host.lost'] }, told))
  t.notOk(isWanted({ environments: ['production'], events: [] }, told))
  t.notOk(isWanted({ environments: [], events: ['deployment.mixed'] }, told))
  t.ok(isWanted({ environments: ['production'], events: ['host.lost'] }, test))
})

t.test('a chat is told in a few lines, in which nothing calls anybody', async (t) => {
  const failed = target('b', { state: 'failed', reason: 'said <!channel> & went' })
  const [told] = deploymentNotices(deployment(), endedAs('reverted', [failed]), nowMs)
  if (told === undefined) throw new Error('nothing was told')
  t.equal(
    tellSlack(told).text,
    [
      'web 1.2.3 in staging: reverted',
      'it was reverted',
      '• b: said &lt;!channel&gt; &amp; went',
      'dep_00000000000000000001, requested by jenkins'
    ].join('\n')
  )
  const lost = hostNotices(
    'host.lost',
    Array.from({ length: 12 }, (_, number) => away('wip', `h${number}`)),
    nowMs
  )
  t.match(lost.map(tellSlack), [{ text: /^wip: 12 hosts lost: h0, .*h9 and 2 more$/ }])
  const back = hostNotices('host.returned', [away('wip', 'h1')], nowMs)
  t.same(back.map(tellSlack), [{ text: 'wip: host back: h1' }])
  const data = { environment: 'wip', service: 'web', host: 'h1', release: 3, tries: 5, reason: 'no disk' }
  t.equal(
    tellSlack(givenUpNotice(data as Parameters<typeof givenUpNotice>[0], nowMs)).text,
    'web in wip: host h1 cannot be repaired, given up after 5 tries\nno disk'
  )
})

t.test('what is signed follows the specification to the letter', async (t) => {
  const body = '{"test": 2432232314}'
  t.equal(
    signInput('msg_p5jXN8AQM9LWM0D4loKWxJek', timestampOf(1_614_265_330_999), body),
    'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'
  )
  t.same(signedHeaders('msg_1', '1614265330', 'c2lnbmF0dXJl'), {
    'webhook-id': 'msg_1',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,c2lnbmF0dXJl'
  })
  t.equal(keyOfSecret(formatSecret('AAAA')), 'AAAA')
  t.throws(() => keyOfSecret('AAAA'), { name: 'TypeError' })
})

t.test('waits grow from 5 s to 1 h and end after three days', async (t) => {
  t.same(
    [1, 2, 3, 4, 5, 6, 7, 8, 70].map(waitMs),
    [5_000, 15_000, 45_000, 135_000, 405_000, 1_215_000, 3_600_000, 3_600_000, 3_600_000]
  )
  let totalMs = 0
  let tries = 0
  for (;;) {
    const verdict = judgeTry('failed', tries, totalMs)
    if (verdict.kind !== 'again') {
      t.same(verdict, { kind: 'given-up', tries: maxTries })
      break
    }
    tries = verdict.tries
    totalMs = verdict.nextAtMs
  }
  t.ok(totalMs <= maxTotalMs && totalMs > maxTotalMs - 3_600_000, 'the last wait ends within the third day')
})

t.test('2xx is delivered, 410 is gone, anything else is tried again', async (t) => {
  const kinds = [200, 204, 299, 410, 300, 302, 199, 404, 429, 500, null].map(
    (status) => judgeTry(resultOf(status), 0, 0).kind
  )
  const again = Array.from({ length: 7 }, () => 'again')
  t.same(kinds, ['delivered', 'delivered', 'delivered', 'gone', ...again])
})

t.test('a clock that was set back leaves nothing waiting', async (t) => {
  t.ok(isDue(10, 10))
  t.notOk(isDue(11, 10))
  t.notOk(isDue(3_600_010, 10))
  t.ok(isDue(3_600_011, 10), 'no wait is that long')
})

t.test('receivers are reached over https, or on loopback, or where that is allowed', async (t) => {
  const refusal = (url: string, isAllowed = false) => refusalOfUrl(new URL(url), isAllowed)
  for (const url of [
    'https://example.com/x',
    'http://localhost:1/',
    'http://127.0.0.1/',
    'http://[::1]:9/'
  ]) {
    t.equal(refusal(url), undefined, url)
  }
  for (const url of ['http://example.com/', 'http://127.0.0.1.example.com/', 'http://10.0.0.1/']) {
    t.match(refusal(url), /https/, url)
    t.equal(refusal(url, true), undefined)
  }
  t.match(refusal('https://user:pw@example.com/'), /password/)
})

t.test('the path and the query of a receiver are never shown', async (t) => {
  const url = new URL(
    'https://hooks.example.com/services/T0AAAAAAA/B0BBBBBBB/c2VjcmV0c2VjcmV0?key=abcdefghij'
  )
  t.equal(shownTarget(url), 'https://hooks.example.com/…')
  t.equal(shownTarget(new URL('https://example.com:8443')), 'https://example.com:8443')
  const said = withoutUrl(
    `404 Cannot POST ${url.pathname}${url.search}, no c2VjcmV0c2VjcmV0, key=abcdefghij`,
    url
  )
  t.notMatch(said, /T0AAAAAAA|B0BBBBBBB|c2VjcmV0|abcdefghij/)
  t.match(said, /^404 Cannot POST …/)
  t.equal(withoutUrl('500 a/b', new URL('https://example.com/')), '500 a/b')
})
