// How a service does on a host, judged from the inventory.
import type { Inventory, InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import {
  crashLoops,
  noRestarts,
  noteRestarts
} from '../../../../packages/controller/src/core/targets/count-restarts.ts'
import { type HostQuestion, judgeHost } from '../../../../packages/controller/src/core/targets/judge-host.ts'
import { containerOf } from './inventory-scenes.ts'

const inventoryOf = (...containers: InventoryContainer[]): Inventory => ({
  isEngineReachable: true,
  containers,
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null
})
const question: Omit<HostQuestion, 'inventory'> = {
  isConnected: true,
  environment: 'staging',
  service: 'api',
  current: 2,
  releases: new Map([
    [1, { isAlike: false }],
    [2, { isAlike: true }]
  ]),
  isPlaced: true,
  replicas: 1,
  crashLoops: new Map(),
  isOutdated: false
}
const judgeAs = (change: Partial<HostQuestion>, ...containers: InventoryContainer[]) =>
  judgeHost({ ...question, inventory: inventoryOf(...containers), ...change })
const judge = (...containers: InventoryContainer[]) => judgeAs({}, ...containers)

t.test('says running of a host that does what it should', async (t) => {
  const right = { state: 'running', release: 2, unwanted: [] }
  t.same(judge(containerOf(2)), right)
  t.same(judge(containerOf(2), containerOf(1, { state: 'exited', isKept: true })), right)
  t.same(judge(containerOf(2), containerOf(1, { state: 'exited' })), right, 'a leftover does not serve')
  t.same(
    judge(
      containerOf(2),
      containerOf(3, { role: 'rehearsal', state: 'exited' }),
      containerOf(3, { role: 'once', state: 'exited' })
    ),
    right
  )
  t.same(judgeAs({ current: null }), { state: 'missing', release: null, unwanted: [] })
})

t.test('says that a release command still runs, and wants nothing done about it', async (t) => {
  const command = containerOf(3, { role: 'once' })
  const drift = 'a release command of release 3 still runs'
  t.same(judge(containerOf(2), command), {
    state: 'running',
    release: 2,
    drift,
    driftKind: 'extra',
    unwanted: []
  })
  t.match(judgeAs({ current: null }, command), { state: 'missing', drift, unwanted: [] })
  t.match(judge(containerOf(1), command), { driftKind: 'stale' }, 'what is done something about comes first')
  t.equal(judge(containerOf(2), { ...command, service: 'other' as never }).drift, undefined)
})

t.test(
  'says that a rehearsal still runs: its agent may have lost the journal that would end it',
  async (t) => {
    const rehearsal = containerOf(3, { role: 'rehearsal' })
    const drift = 'a rehearsal of release 3 still runs'
    t.match(judge(containerOf(2), rehearsal), {
      state: 'running',
      release: 2,
      drift,
      driftKind: 'extra',
      unwanted: []
    })
    t.match(judgeAs({ current: null }, rehearsal), { state: 'missing', drift, unwanted: [] })
  }
)

t.test('says how a host differs, in words and by kind', async (t) => {
  t.match(judge(containerOf(1)), {
    state: 'running',
    release: 1,
    drift: 'runs release 1, release 2 is the current one',
    driftKind: 'stale'
  })
  t.match(judge(containerOf(2), containerOf(1)), { driftKind: 'stale' }, 'beside the right one as well')
  t.match(judge(containerOf(1, { state: 'exited' })), { state: 'stopped', driftKind: 'stale' })
  t.match(judge(), { state: 'missing', release: null, drift: /runs nothing/, driftKind: 'missing' })
  t.match(judge(containerOf(2, { state: 'created' })), { state: 'missing', driftKind: 'missing' })
  t.match(judge(containerOf(2), containerOf(2)), { drift: 'runs 2 of 1 containers', driftKind: 'extra' })
  t.match(judgeAs({ replicas: 3 }, containerOf(2), containerOf(2)), {
    drift: 'runs 2 of 3 containers',
    driftKind: 'missing'
  })
})

t.test('takes another number of the same image and spec for the current release', async (t) => {
  const releases = new Map([...question.releases, [1, { isAlike: true }] as const])
  const judgement = judgeAs({ releases }, containerOf(1))
  t.equal(judgement.release, 1)
  t.equal(judgement.drift, undefined)
})

t.test('does not call stale what the controller has no record of', async (t) => {
  const judgement = judge(containerOf(9))
  t.match(judgement, { driftKind: 'unknown', drift: /release 9, which this controller has no record of/ })
  t.same(judgement.unwanted, [])
})

t.test('says what was changed by hand', async (t) => {
  const changes = ['memory limit is 64 MiB, not unlimited']
  t.match(judge(containerOf(2, { changes })), {
    state: 'running',
    driftKind: 'changed',
    drift: 'api-r2-0: memory limit is 64 MiB, not unlimited'
  })
  t.match(judge(containerOf(2, { state: 'exited', exitCode: 137 })), {
    state: 'stopped',
    driftKind: 'changed',
    drift: 'api-r2-0: is stopped (exit code 137)'
  })
  t.match(judge(containerOf(2, { state: 'paused' })), { state: 'stopped', driftKind: 'changed' })
})

t.test('does not say what is missing, stale or too much by a decision that was overtaken', async (t) => {
  const late = (change: Partial<HostQuestion>, ...containers: InventoryContainer[]) =>
    judgeAs({ isOutdated: true, ...change }, ...containers)
  const drift = /later deployment than this controller/
  t.match(late({}, containerOf(1)), { driftKind: 'unknown', drift })
  t.match(late({}), { driftKind: 'unknown', drift })
  t.match(late({ isPlaced: false }, containerOf(2)), { driftKind: 'unknown', drift })
  t.same(late({}, containerOf(2)), judge(containerOf(2)), 'a host that runs the current release is right')
  t.match(late({}, containerOf(2, { state: 'paused' })), { driftKind: 'changed' })
})

t.test('names the containers that nothing wants on the host', async (t) => {
  const own = [containerOf(2, { id: 'aaa' }), containerOf(1, { id: 'bbb', isKept: true })]
  t.match(judgeAs({ isPlaced: false }, ...own), {
    driftKind: 'extra',
    drift: 'has release 2, and the service does not belong on this host',
    unwanted: ['aaa']
  })
  t.match(judgeAs({ current: null }, ...own), { driftKind: 'extra', unwanted: ['aaa'] })
  t.same(judgeAs({ isPlaced: false }), { state: 'missing', release: null, unwanted: [] })
  t.same(
    judgeAs({ isPlaced: false, isConnected: false }, ...own).unwanted,
    [],
    'not by what it said when it was last connected'
  )
})

t.test('takes the worst of the containers', async (t) => {
  t.equal(judge(containerOf(2), containerOf(2, { state: 'restarting' })).state, 'restarting')
  t.equal(judge(containerOf(2), containerOf(2, { health: 'unhealthy' })).state, 'unhealthy')
  t.equal(judge(containerOf(2, { health: 'starting' })).state, 'starting')
  t.equal(judge(containerOf(2, { state: 'exited' })).state, 'stopped')
})

t.test('does not guess about hosts that it does not hear', async (t) => {
  t.equal(judgeAs({ isConnected: false }, containerOf(2)).state, 'silent')
  t.match(judgeAs({ inventory: null }), { state: 'unknown', driftKind: 'unknown' })
  t.match(judgeAs({ inventory: { ...inventoryOf(), isEngineReachable: false } }), {
    state: 'unknown',
    driftKind: 'unknown'
  })
})

const minute = 60_000
const historyOf = (...seen: [atMs: number, count: number][]) =>
  seen.reduce(
    (history, [atMs, restartCount]) =>
      noteRestarts(history, inventoryOf(containerOf(2, { restartCount })), atMs),
    noRestarts
  )

t.test('calls a container crash-looping by how fast its restarts grow', async (t) => {
  t.equal(crashLoops(historyOf([0, 40]), 0).size, 0, 'many restarts in a long life')
  t.equal(crashLoops(historyOf([0, 40], [100, 42]), 100).size, 0)
  const looping = historyOf([0, 40], [100, 41], [300, 42], [700, 43])
  t.same([...crashLoops(looping, 700)], [[containerOf(2).id, 3]])
  t.match(judgeAs({ crashLoops: crashLoops(looping, 700) }, containerOf(2)), {
    state: 'running',
    driftKind: 'crash-looping',
    drift: 'api-r2-0 was restarted 3 times in 5 min'
  })
})

t.test('keeps calling it so for as long as the growth is recent', async (t) => {
  const looping = historyOf([0, 0], [minute, 1], [2 * minute, 2], [3 * minute, 3])
  t.equal(crashLoops(looping, 4 * minute).size, 1)
  t.equal(crashLoops(looping, 5 * minute).size, 1)
  t.equal(crashLoops(looping, 6 * minute).size, 0, 'only two of them are recent')
})

t.test('forgets containers that are gone, and counts anew when Docker does', async (t) => {
  const looping = historyOf([0, 0], [1, 3])
  t.equal(noteRestarts(looping, inventoryOf(), 2).size, 0)
  t.equal(crashLoops(noteRestarts(looping, inventoryOf(containerOf(2)), 2), 2).size, 0)
})
