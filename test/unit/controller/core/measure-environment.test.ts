// The figures of an environment: summed over its hosts, and absent where there is nothing to measure.
import type { Inventory } from '@longshore/protocol'
import t from 'tap'
import {
  type EnvironmentNow,
  type MeasuredAgent,
  measureEnvironment
} from '../../../../packages/controller/src/core/metrics/measure-environment.ts'
import { facts } from '../../../support/agent-client.ts'

const nowMs = 1_000_000
const empty: EnvironmentNow = {
  environment: 'staging',
  nowMs,
  agents: [],
  commands: [],
  deployments: [],
  mixedServices: 0
}
const inventoryOf = (change: Partial<Inventory> = {}): Inventory => ({
  isEngineReachable: true,
  containers: [],
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null,
  ...change
})
const agent = (change: Partial<MeasuredAgent> = {}): MeasuredAgent => ({
  state: 'active',
  lastSeenAtMs: nowMs,
  facts: null,
  isConnected: true,
  inventory: undefined,
  ...change
})
const measure = (change: Partial<EnvironmentNow>) => measureEnvironment({ ...empty, ...change })
const measureRoom = (...inventories: Partial<Inventory>[]) =>
  measure({ agents: inventories.map((one) => agent({ inventory: inventoryOf(one) })) })

t.test('of nothing there are counts of 0, and no lengths', async (t) => {
  t.same(measure({}), {
    environment: 'staging',
    enrolled: 0,
    connected: 0,
    held: 0,
    silent: 0,
    silentLongestMs: null,
    enginesDown: 0,
    disksLow: 0,
    diskFreeShareMin: null,
    memoryFreeBytesMin: null,
    loadPerCpuMax: null,
    owed: 0,
    accepted: 0,
    owedLongestMs: null,
    running: 0,
    paused: 0,
    runningLongestMs: null,
    stillLongestMs: null,
    mixedServices: 0
  })
})

t.test('an agent is connected, silent, never seen, or held', async (t) => {
  const away = { isConnected: false }
  const agents = [
    agent(),
    agent({ ...away, lastSeenAtMs: nowMs - 300 }),
    agent({ ...away, lastSeenAtMs: nowMs - 500 }),
    agent({ ...away, lastSeenAtMs: null }),
    agent({ ...away, state: 'held', lastSeenAtMs: nowMs - 900 })
  ]
  t.match(measure({ agents }), { enrolled: 4, connected: 1, silent: 2, silentLongestMs: 500, held: 1 })
  const later = agent({ ...away, lastSeenAtMs: nowMs + 1 })
  t.match(measure({ agents: [later] }), { silent: 1, silentLongestMs: 0 }, 'the clock was set back')
})

t.test('room is that of the host that has least, load that of the busiest', async (t) => {
  const disk = (diskFreeBytes: number | null, diskTotalBytes: number | null) => ({
    diskFreeBytes,
    diskTotalBytes
  })
  t.match(measureRoom(disk(10, 100), disk(50, 100), disk(null, 100), disk(5, null), disk(0, 0)), {
    disksLow: 0,
    diskFreeShareMin: 0.1
  })
  t.match(measureRoom(disk(9, 100), disk(0, 100)), { disksLow: 2, diskFreeShareMin: 0 })
  t.match(measureRoom({ memoryFreeBytes: 7 }, { memoryFreeBytes: 3 }, {}), { memoryFreeBytesMin: 3 })
  const loaded = (load: number | null, cpus: number | null) =>
    agent({ inventory: inventoryOf({ load }), facts: cpus === null ? null : { ...facts, cpus } })
  const agents = [loaded(8, 16), loaded(3, 2), loaded(null, 1), loaded(100, null), loaded(100, 0)]
  t.match(measure({ agents }), { loadPerCpuMax: 1.5 })
  t.match(measureRoom({ isEngineReachable: false }, {}), { enginesDown: 1 })
})

t.test('what is not known now counts for nothing, and of held agents neither', async (t) => {
  const bad = inventoryOf({ isEngineReachable: false, memoryFreeBytes: 0 })
  t.match(measure({ agents: [agent(), agent({ state: 'held', inventory: bad })] }), {
    enginesDown: 0,
    memoryFreeBytesMin: null
  })
})

t.test('commands are told by where they are, those that are owed with their age', async (t) => {
  const commands: EnvironmentNow['commands'] = [
    { state: 'accepted', count: 2, oldestAtMs: 1 },
    { state: 'owed', count: 3, oldestAtMs: nowMs - 40 }
  ]
  t.match(measure({ commands }), { owed: 3, accepted: 2, owedLongestMs: 40 })
  t.match(measure({ commands: [{ state: 'owed', count: 1, oldestAtMs: nowMs + 40 }] }), { owedLongestMs: 0 })
})

t.test('deployments that wait for somebody are paused, and are not late', async (t) => {
  const deployments: EnvironmentNow['deployments'] = [
    { phase: 'staging', requestedAtMs: nowMs - 10, stillMs: 9 },
    { phase: 'rolling', requestedAtMs: nowMs - 30, stillMs: 2 },
    { phase: 'paused', requestedAtMs: 0, stillMs: 5000 }
  ]
  t.match(measure({ deployments }), { running: 2, paused: 1, runningLongestMs: 30, stillLongestMs: 9 })
  const paused = deployments.slice(2)
  t.match(measure({ deployments: paused }), { running: 0, runningLongestMs: null, stillLongestMs: null })
})
