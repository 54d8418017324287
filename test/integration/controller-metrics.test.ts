// What a real controller tells monitoring: read strictly, by token, with an agent that comes, counts and goes.
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { type Family, readExposition } from '../support/read-exposition.ts'
import { specOf, startRealController } from '../support/real-controller.ts'
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
const client = await connectAnswering(controller.url, machine, await trust())

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
const tell = (...told: object[]): void => {
  const inventory = {
    isEngineReachable: true,
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null,
    proxy: { state: 'running', version: '2.6.12', detail: '' },
    traffic: told
  }
  client.send([{ type: 'inventory', inventory: inventory as unknown as Inventory }])
}

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
const api = { environment: 'staging', service: 'api' }
const scrapeWhen = (requests: number): Promise<Map<string, Family>> =>
  waitUntil(`${requests} requests are counted`, async () => {
    const families = await scrape()
    return sampleOf(families, 'service_requests_total', api) === requests ? families : undefined
  })

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
})

t.test('shows no figures of a host that is silent, and keeps what was counted', async (t) => {
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
  const bad = [
    good.slice(0, -1),
    `${good}a_total{b="c\\"d"} 2\n`,
    `${good}other 1\n`,
    `${good}# HELP a_total x\n`,
    '# TYPE a gauge\na 1\n',
    '# HELP a x\n# TYPE a counter\na 1\n',
    '# HELP a x\n# TYPE a gauge\na{b=c} 1\n',
    '# HELP a x\n# TYPE a gauge\na one\n'
  ]
  for (const text of bad) t.throws(() => readExposition(text), SyntaxError, text)
})
