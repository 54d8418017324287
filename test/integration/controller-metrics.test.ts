// What a real controller tells monitoring: read strictly, by token, with an agent that comes, counts and goes.
import { readFileSync } from 'node:fs'
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import { assertionOf, enrol, newMachine, refusalOf } from '../support/agent-client.ts'
import { connectAnswering, obedient } from '../support/answering-agent.ts'
import { openEventStream } from '../support/read-events.ts'
import { type Family, readExposition } from '../support/read-exposition.ts'
import { type Json, specOf, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

const controller = await startRealController(t)
const { ask, joinToken, trust, tokenFor } = controller
const spec = specOf({
  ports: ['80:8888'],
  deploy: { update_config: { order: 'start-first' } }
})
for (const [environment, service] of [
  ['staging', 'api'],
  ['staging', 'web'],
  ['production', 'api']
] as const)
  await ask('PUT', `/v1/environments/${environment}/services/${service}/spec`, { body: { spec } })
const machine = await newMachine('web1')
await enrol(controller.url, machine, (await joinToken()).token)
/** A deployment stays in progress: nobody ever stages it. */
let isSlow = false
const client = await connectAnswering(controller.url, machine, await trust(), (command) =>
  isSlow && command.body.kind === 'stage' ? undefined : obedient(command)
)

const traffic = (service: string, change: object = {}) => ({
  environment: 'staging',
  service,
  requests: 100,
  errors: 2,
  requestsPerSecond: 12.5,
  errorsPerSecond: 0.25,
  sessions: 7,
  upgraded: 3,
  latencyMs: 8,
  ...change
})
const inventoryOf = (change: object) =>
  ({
    isEngineReachable: true,
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null,
    proxy: { state: 'running', version: '2.6.12', detail: '' },
    ...change
  }) as unknown as Inventory
const tell = (...told: object[]): void =>
  client.send([{ type: 'inventory', inventory: inventoryOf({ traffic: told }) }])
const containerOf = (release: number) => ({
  id: `web-${release}`,
  name: `web-r${release}-0`,
  environment: 'staging',
  service: 'web',
  release,
  index: 0,
  deployment: null,
  state: 'running',
  health: 'none',
  restartCount: 0,
  startedAtMs: 0,
  exitCode: null,
  image: 'registry.example/it',
  isKept: false
})

const scrape = async (token = controller.token): Promise<Map<string, Family>> => {
  const answer = await fetch(`${controller.url}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  return readExposition(await answer.text())
}
const sampleOf = (families: Map<string, Family>, name: string, labels: Record<string, string>) =>
  families
    .get(`longshore_${name}`)
    ?.samples.find((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
    ?.value
const staging = { environment: 'staging' }
const scrapeUntil = (name: string, labels: Record<string, string>, value: number) =>
  waitUntil(`${name} is ${value}`, async () => {
    const families = await scrape()
    return sampleOf(families, name, labels) === value ? families : undefined
  })
const api = { environment: 'staging', service: 'api' }
const scrapeWhen = (requests: number) => scrapeUntil('service_requests_total', api, requests)

t.test('tells of every service that has traffic, of proxies and of agents', async (t) => {
  tell(traffic('api'), traffic('web', { latencyMs: null }))
  const families = await scrapeWhen(100)
  const one = (name: string) => sampleOf(families, `service_${name}`, api)
  t.same(
    ['request_errors_total', 'requests_per_second', 'errors_per_second', 'sessions'].map(one),
    [2, 12.5, 0.25, 7]
  )
  t.same([one('upgraded_connections'), one('latency_seconds')], [3, 0.008])
  t.equal(sampleOf(families, 'service_latency_seconds', { ...api, service: 'web' }), undefined)
  t.equal(sampleOf(families, 'proxy_up', { environment: 'staging', host: 'web1' }), 1)
  t.equal(sampleOf(families, 'agents_connected', { environment: 'staging' }), 1)
  t.equal(sampleOf(families, 'agents', { environment: 'staging' }), 1)
  t.equal(sampleOf(families, 'metrics_left_out', {}), 0)
  t.notOk(JSON.stringify([...families.values()]).includes('production'), 'what has no traffic has no series')
  t.ok([...families.values()].every(({ help, type }) => help !== '' && type !== ''))
})

t.test('counts on when the agent counts anew', async () => {
  tell(traffic('api', { requests: 30, errors: 0 }))
  await scrapeWhen(130)
})

t.test('answers a token what it may read, and nobody without one', async (t) => {
  const families = await scrape(await tokenFor('read:staging/web'))
  t.equal(sampleOf(families, 'service_requests_total', { ...api, service: 'web' }), 100)
  t.equal(sampleOf(families, 'service_requests_total', api), undefined)
  t.same(families.get('longshore_proxy_up')?.samples, [], 'hosts belong to no service')
  t.same(families.get('longshore_agents_connected')?.samples, [])
  t.equal((await fetch(`${controller.url}/metrics`)).status, 401)
  t.notOk(
    families.has('longshore_deployments_total'),
    'the figures of the controller are for who may read all'
  )
  const ofEnvironment = await scrape(await tokenFor('read:staging/*'))
  t.equal(sampleOf(ofEnvironment, 'outbox_owed', staging), 0)
  t.notOk(ofEnvironment.has('longshore_sessions_started_total'))
})

t.test('counts what happened: sessions, commands, steps, deployments, commits', async (t) => {
  const what = { by: 'tag', tag: '1' }
  const deploy = () =>
    ask('POST', '/v1/deployments', { body: { service: 'web', environment: 'staging', what } })
  await deploy()
  const of = { environment: 'staging', mode: 'deploy', outcome: 'succeeded' }
  const families = await scrapeUntil('deployments_total', of, 1)
  const counted = (family: string, labels: Record<string, string>) =>
    families
      .get(`longshore_${family}`)
      ?.samples.find(
        ({ name, labels: has }) =>
          name.endsWith('_count') && Object.entries(labels).every(([key, value]) => has[key] === value)
      )?.value
  for (const stage of ['accept', 'run', 'whole'])
    t.equal(counted('command_duration_seconds', { kind: 'release', stage }), 1, stage)
  t.ok(counted('step_duration_seconds', { step: 'other', outcome: 'done' }), 'a step that no agent has')
  t.equal(counted('deployment_duration_seconds', { mode: 'deploy', outcome: 'succeeded' }), 1)
  t.ok(Number(counted('store_commit_seconds', {})) > 5)
  t.equal(sampleOf(families, 'sessions_started_total', {}), 1)

  isSlow = true
  const { body } = await deploy()
  const during = await scrapeUntil('outbox_accepted', staging, 1)
  t.equal(sampleOf(during, 'deployments_running', staging), 1)
  t.ok(Number(sampleOf(during, 'deployments_still_longest_seconds', staging)) >= 0)
  await ask('POST', `/v1/deployments/${textOf(body, 'id')}/cancel`)
  isSlow = false
})

t.test('counts refused sessions by code, streams of events, and when a token ends', async (t) => {
  const stranger = await newMachine('stranger')
  await refusalOf(controller.url, await assertionOf(stranger, controller.installation))
  const made = await ask('POST', '/v1/api-tokens', {
    body: { name: 'ends', allow: ['read:*/*'], ttlMs: 3_600_000 }
  })
  const token = textOf(made.body, 'token')
  const { events } = await openEventStream(`${controller.url}/v1/events`, token)
  await events.next()
  const families = await scrapeUntil('event_streams', {}, 1)
  t.equal(sampleOf(families, 'session_failures_total', { code: 'unknown-agent' }), 1)
  const endsAt = sampleOf(await scrapeUntil('event_streams', {}, 1), 'api_token_expiry_timestamp_seconds', {})
  const tokens = (await ask('GET', '/v1/api-tokens')).body as unknown as Json[]
  t.equal(endsAt, Number(tokens.find(({ name }) => name === 'ends')?.['expiresAtMs']) / 1000)
  await events.return(undefined)
  await scrapeUntil('event_streams', {}, 0)
})

let closeOther = (): void => {}
t.test('tells of room, load, hosts that are held, and of a mixed fleet', async (t) => {
  await enrol(controller.url, await newMachine('web1'), (await joinToken()).token)
  const second = await newMachine('web2')
  await enrol(controller.url, second, (await joinToken()).token)
  const former = await connectAnswering(controller.url, second, await trust())
  await scrapeUntil('agents_connected', staging, 2)
  former.socket.close()
  await scrapeUntil('sessions_ended_total', { by: 'loss', code: 'none' }, 1)
  const other = await connectAnswering(controller.url, second, await trust())
  closeOther = () => other.socket.close()
  const room = { diskFreeBytes: 5, diskTotalBytes: 100, load: 3, memoryFreeBytes: 7 }
  other.send([
    { type: 'inventory', inventory: inventoryOf({ ...room, containers: [containerOf(7)], traffic: [] }) }
  ])
  client.send([
    {
      type: 'inventory',
      inventory: inventoryOf({ containers: [containerOf(1)], traffic: [traffic('api', { requests: 30 })] })
    }
  ])
  const families = await scrapeUntil('services_mixed', staging, 1)
  const one = (name: string) => sampleOf(families, name, staging)
  t.same(
    ['agents_held', 'hosts_disk_low', 'hosts_disk_free_ratio_min', 'hosts_memory_free_bytes_min'].map(one),
    [1, 1, 0.05, 7]
  )
  t.same(['hosts_load_per_cpu_max', 'hosts_engine_down', 'agents_silent'].map(one), [3, 0, 0])
})

t.test('page, alerts and dashboard speak of the metrics that there are', async (t) => {
  const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
  // the event loop is looked at once a second
  const families = await waitUntil('every counter has counted', async () => {
    const scraped = await scrape()
    const { samples = [] } = scraped.get('longshore_event_loop_lag_seconds') ?? {}
    return samples.length > 0 ? scraped : undefined
  })
  const rows = [...read('docs/metrics.md').matchAll(/^\| `(longshore_\w+)` \| (\w+) \|/gm)]
  t.same(
    rows.map(([, name, type]) => `${name} ${type}`).sort(),
    [...families.values()].map(({ name, type }) => `${name} ${type}`).sort()
  )
  const shown = new Set([...families.values()].flatMap(({ samples }) => samples.map(({ name }) => name)))
  for (const { name, samples } of families.values()) if (samples.length > 0) shown.add(name)
  // this controller serves no certificate; nobody is silent, nothing is owed and nothing runs at this moment
  for (const name of ['certificate_expiry_timestamp', 'agents_silent_longest', 'outbox_owed_longest'])
    shown.add(`longshore_${name}_seconds`)
  for (const name of ['running', 'still']) shown.add(`longshore_deployments_${name}_longest_seconds`)
  const { panels } = JSON.parse(read('deploy/grafana/longshore.json')) as {
    panels: { targets?: { expr: string }[] }[]
  }
  const rules = read('deploy/prometheus/longshore.rules.yml').split('- alert: ').slice(1)
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
  for (const text of [...expressions, ...rules, read('deploy/prometheus/longshore.rules.test.yml')])
    for (const [name] of text.matchAll(/longshore_\w+/g)) t.ok(shown.has(name), `${name} is told`)
  t.ok(expressions.length > 20)
  for (const rule of rules) {
    t.match(
      rule,
      /\n {8}for: \d+[mh]\n[\s\S]*summary: [\s\S]*description: /,
      `${rule.split('\n')[0]} is whole`
    )
  }
})

t.test('shows no figures of a host that is silent, and keeps what was counted', async (t) => {
  closeOther()
  const one = await scrapeUntil('agents_silent', staging, 1)
  t.ok(Number(sampleOf(one, 'agents_silent_longest_seconds', staging)) >= 0)
  t.equal(sampleOf(one, 'services_mixed', staging), 0, 'of a host that is silent nobody knows')
  client.socket.close()
  const families = await waitUntil('the session has ended', async () => {
    const scraped = await scrape()
    return sampleOf(scraped, 'agents_connected', { environment: 'staging' }) === 0 ? scraped : undefined
  })
  t.equal(sampleOf(families, 'service_requests_total', api), 130)
  t.same(families.get('longshore_service_requests_per_second')?.samples, [])
  t.same(families.get('longshore_proxy_up')?.samples, [])
})

t.test('the strict reader refuses what is not the format', async (t) => {
  const good = '# HELP a_total x\n# TYPE a_total counter\na_total{b="c\\"d"} 1\n'
  t.match(readExposition(good).get('a_total')?.samples, [{ labels: { b: 'c"d' }, value: 1 }])
  const histogram = (...[first, all, count]: number[]) =>
    `# HELP a x\n# TYPE a histogram\na_bucket{le="1"} ${first}\na_bucket{le="+Inf"} ${all}\na_sum 3\na_count ${count}\n`
  t.equal(readExposition(histogram(1, 2, 2)).get('a')?.samples.length, 4)
  const bad = [
    good.slice(0, -1),
    `${good}a_total{b="c\\"d"} 2\n`,
    `${good}other 1\n`,
    `${good}# HELP a_total x\n`,
    '# TYPE a gauge\na 1\n',
    '# HELP a x\n# TYPE a counter\na 1\n',
    '# HELP a x\n# TYPE a gauge\na{b=c} 1\n',
    '# HELP a x\n# TYPE a gauge\na one\n',
    '# HELP a x\n# TYPE a histogram\na 1\n',
    histogram(2, 1, 1),
    histogram(1, 2, 1),
    histogram(1, 2, 2).replace('+Inf', '2')
  ]
  for (const text of bad) t.throws(() => readExposition(text), SyntaxError, text)
})
