// How a service does on a host, judged from the inventory.
import type { Inventory, InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import { judgeHost } from '../../../../packages/controller/src/core/targets/judge-host.ts'

const containerOf = (release: number, change: Partial<InventoryContainer> = {}): InventoryContainer => ({
  id: 'abc',
  name: `api-r${release}-0`,
  environment: 'staging' as InventoryContainer['environment'],
  service: 'api' as InventoryContainer['service'],
  release,
  index: 0,
  deployment: null,
  state: 'running',
  health: 'healthy',
  restartCount: 0,
  startedAtMs: null,
  exitCode: null,
  image: 'api',
  isKept: false,
  ...change
})
const inventoryOf = (...containers: InventoryContainer[]): Inventory => ({
  isEngineReachable: true,
  containers,
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null
})
const question = { isConnected: true, environment: 'staging', service: 'api', current: 2, replicas: 1 }
const judge = (...containers: InventoryContainer[]) =>
  judgeHost({ ...question, inventory: inventoryOf(...containers) })

t.test('says running of a host that does what it should', async (t) => {
  t.same(judge(containerOf(2)), { state: 'running', release: 2 })
  t.same(judge(containerOf(2), containerOf(1, { state: 'exited', isKept: true })), {
    state: 'running',
    release: 2
  })
})

t.test('says how a host differs', async (t) => {
  t.match(judge(containerOf(1)), {
    state: 'running',
    release: 1,
    drift: 'runs release 1, release 2 is the current one'
  })
  t.match(judge(), { state: 'missing', release: null, drift: /runs nothing/ })
  t.match(judge(containerOf(2), containerOf(2)), { drift: 'runs 2 of 1 containers' })
  t.match(judgeHost({ ...question, current: null, inventory: inventoryOf(containerOf(1)) }), {
    drift: /never succeeded/
  })
})

t.test('takes the worst of the containers', async (t) => {
  t.equal(judge(containerOf(2), containerOf(2, { state: 'restarting' })).state, 'restarting')
  t.equal(judge(containerOf(2), containerOf(2, { health: 'unhealthy' })).state, 'unhealthy')
  t.equal(judge(containerOf(2, { health: 'starting' })).state, 'starting')
  t.equal(judge(containerOf(2, { state: 'exited' })).state, 'stopped')
})

t.test('does not guess about hosts that it does not hear', async (t) => {
  t.equal(
    judgeHost({ ...question, isConnected: false, inventory: inventoryOf(containerOf(2)) }).state,
    'silent'
  )
  t.equal(judgeHost({ ...question, inventory: null }).state, 'unknown')
  t.equal(
    judgeHost({ ...question, inventory: { ...inventoryOf(), isEngineReachable: false } }).state,
    'unknown'
  )
})
