// How many series monitoring is told of, however many environments, services and hosts there are, and whatever hosts say.
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import { renderMetrics } from '../../../../packages/controller/src/adapters/http/render-metrics.ts'
import { createMetrics } from '../../../../packages/controller/src/engine/collect-metrics.ts'
import { createMeters } from '../../../../packages/controller/src/engine/meters.ts'
import { createTrafficCounts } from '../../../../packages/controller/src/engine/traffic-counts.ts'
import type { AgentRow, Reads, SpecRow } from '../../../../packages/controller/src/ports.ts'
import { agentOf } from '../core/deployment-scenes.ts'
import { HandClock, helloOf } from './engine-scene.ts'

type Told = { environment: string; service: string }
const inventoryOf = (told: readonly Told[], requests: number): Inventory =>
  ({
    ...helloOf('any').inventory,
    proxy: { state: 'running', version: null, detail: '' },
    traffic: told.map((at) => ({
      ...at,
      requests,
      errors: 0,
      requestsPerSecond: 1,
      errorsPerSecond: 0,
      sessions: 1,
      upgraded: 0,
      latencyMs: 1
    }))
  }) as unknown as Inventory

/** @param told by each host; what is applied is asked of the store */
const collect = async (agents: { host: string; environment: string; told: Told[] }[], applied: Told[]) => {
  const unprepared = () => {
    throw new Error('not prepared')
  }
  const store = {
    agents: async () =>
      agents.map(({ host, environment }) => ({
        id: agentOf(host),
        hostName: host,
        environment,
        state: 'active',
        lastSeenAtMs: 1,
        facts: null
      })) as unknown as AgentRow[],
    specs: async () => applied as unknown as SpecRow[],
    countCommands: async () => [],
    countNotifications: async () => [],
    apiTokens: async () => []
  }
  const counts = createTrafficCounts()
  const latest = new Map<string, Inventory>()
  for (const requests of [1, 2]) {
    for (const { host, told } of agents) {
      const inventory = inventoryOf(told, requests)
      latest.set(agentOf(host), inventory)
      counts.observed(agentOf(host), inventory)
    }
  }
  const { collect } = createMetrics({
    store: new Proxy(store, { get: (has, name) => Reflect.get(has, name) ?? unprepared }) as unknown as Reads,
    clock: new HandClock(),
    hosts: {
      isConnected: () => true,
      inventoryOf: (agent) => latest.get(agent),
      freshInventoryOf: (agent) => latest.get(agent),
      crashLoopsOf: unprepared
    },
    running: { list: () => [] },
    counts,
    meters: createMeters()
  })
  const view = await collect(() => true)
  const { text } = await renderMetrics(view, '1')
  return { view, series: text.split('\n').filter((line) => line !== '' && !line.startsWith('#')) }
}
const numbers = (count: number) => [...Array(count).keys()]
const place = (environment: string, service: string): Told => ({ environment, service })

t.test('environments, services and proxies have a limit each, and what is beyond is counted', async (t) => {
  const agents = numbers(1200).map((number) => {
    const environment = `pr-${number % 250}`
    const told = number < 250 ? ['a', 'b', 'c'].map((service) => place(environment, service)) : []
    return { host: `h${number}`, environment, told }
  })
  const { view, series } = await collect(
    agents,
    agents.flatMap(({ told }) => told)
  )
  t.same(
    [view.environments, view.services, view.proxies].map(({ length }) => length),
    [200, 500, 1000]
  )
  t.equal(view.leftOut, 50 + 250 + 200)
  t.ok(series.includes('longshore_metrics_left_out 500'))
  const few = await collect(agents.slice(0, 1), [])
  const [ofEnvironment, ofService, ofProxy] = [18, 7, 1]
  const most = few.series.length + 200 * ofEnvironment + 500 * ofService + 1000 * ofProxy
  t.ok(series.length > 5000 && series.length <= most, `${series.length} series`)
})

t.test('a host adds hosts, but no series but its own', async (t) => {
  const told = [place('staging', 'api')]
  const one = await collect([{ host: 'a', environment: 'staging', told }], told)
  const many = numbers(50).map((number) => ({ host: `h${number}`, environment: 'staging', told }))
  const all = await collect(many, told)
  t.equal(all.series.length, one.series.length + 49, 'whether its proxy is up')
  t.ok(all.series.includes('longshore_service_requests_total{environment="staging",service="api"} 50'))
})

t.test('a host that invents names is counted for as many as a host may have', async (t) => {
  const counts = createTrafficCounts()
  const agent = agentOf('a')
  const tell = (names: string[], requests: number) =>
    counts.observed(
      agent,
      inventoryOf(
        names.map((name) => place('staging', name)),
        requests
      )
    )
  for (const round of numbers(12))
    tell(
      numbers(500).map((number) => `s${round}-${number}`),
      1
    )
  const known = (name: string) => counts.of('staging', name).size
  t.same([known('s0-0'), known('s9-499'), known('s10-0'), known('s11-499')], [1, 1, 0, 0])
  tell(['s0-0', 's11-0'], 3)
  t.same(counts.of('staging', 's0-0').get(agent), { requests: 2, errors: 0 }, 'those go on')
  counts.observed(agentOf('b'), inventoryOf([place('staging', 's11-0')], 1))
  t.equal(known('s11-0'), 1, 'another host has its own')
})
