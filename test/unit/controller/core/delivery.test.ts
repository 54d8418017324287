// What fits into a command; what is sent to a host, and when again; how targets and batches are chosen; counters after a restored backup.
import {
  type CommandId,
  capabilitiesFor,
  generateSigningKey,
  limits,
  type ServiceMark,
  type ServiceSpec,
  signJws
} from '@longshore/protocol'
import t from 'tap'
import { formBatches } from '../../../../packages/controller/src/core/batches/form-batches.ts'
import { commandBody } from '../../../../packages/controller/src/core/delivery/command-body.ts'
import { planDelivery } from '../../../../packages/controller/src/core/delivery/plan-delivery.ts'
import { numbersSeen, raised } from '../../../../packages/controller/src/core/delivery/raise-counters.ts'
import { refusalFor } from '../../../../packages/controller/src/core/delivery/refusal-for.ts'
import { maxSpecBytes, specBytes } from '../../../../packages/controller/src/core/delivery/spec-size.ts'
import { chooseTargets } from '../../../../packages/controller/src/core/targets/choose-targets.ts'

const rowOf = (command: string, state: 'owed' | 'accepted' | 'ended', isActive = true, notAfterMs = 500) => ({
  command,
  state,
  isActive,
  notAfterMs
})
const idsOf = (rows: { command: string }[]) => rows.map(({ command }) => command)

t.test('sends everything that has not ended in a new session', async (t) => {
  const rows = [rowOf('1', 'owed'), rowOf('2', 'accepted'), rowOf('3', 'ended')]
  const plan = planDelivery(rows, new Map(), 100, 10)
  t.same(idsOf(plan.send), ['1', '2'])
  t.equal(plan.nextAtMs, 110)
})

t.test('sends an unanswered command again when it is due, an accepted one not', async (t) => {
  const rows = [rowOf('1', 'owed'), rowOf('2', 'accepted'), rowOf('3', 'owed')]
  const sentAtMs = new Map([
    ['1', 90],
    ['2', 0],
    ['3', 95]
  ])
  const plan = planDelivery(rows, sentAtMs, 100, 10)
  t.same(idsOf(plan.send), ['1'])
  t.equal(plan.nextAtMs, 105)
})

t.test('ends what is past its time only when no deployment waits for it', async (t) => {
  const rows = [
    rowOf('1', 'owed', true, 50),
    rowOf('2', 'owed', false, 50),
    rowOf('3', 'accepted', false, 50)
  ]
  const plan = planDelivery(rows, new Map(), 100, 10)
  t.same(idsOf(plan.send), ['1'])
  t.same(idsOf(plan.expired), ['2', '3'])
})

t.test('sends no more to a host than it may hold', async (t) => {
  const rows = Array.from({ length: 300 }, (_, number) => rowOf(String(number), 'owed'))
  t.equal(planDelivery(rows, new Map(), 0, 10).send.length, 256)
})

t.test('forms batches of a number, of a share, or of all', async (t) => {
  t.same(formBatches({ canary: null, parallelism: { unit: 'count', value: 2 } }, 5), [1, 1, 2, 2, 3])
  t.same(formBatches({ canary: null, parallelism: { unit: 'count', value: 0 } }, 3), [1, 1, 1])
  t.same(formBatches({ canary: null, parallelism: { unit: 'percent', value: 50 } }, 5), [1, 1, 2, 2, 3])
  t.same(formBatches({ canary: null, parallelism: { unit: 'percent', value: 1 } }, 2), [1, 2])
  t.same(formBatches({ canary: null, parallelism: { unit: 'percent', value: 100 } }, 2), [1, 1])
  t.same(formBatches({ canary: null, parallelism: { unit: 'count', value: 1 } }, 0), [])
})

t.test('chooses active hosts that meet every constraint, by name', async (t) => {
  const host = (hostName: string, labels = {}, state: 'active' | 'held' = 'active') => ({
    hostName,
    state,
    labels
  })
  const agents = [
    host('c', { rack: '1' }),
    host('a', { rack: '1', old: 'yes' }),
    host('b'),
    host('d', { rack: '1' }, 'held')
  ]
  const namesFor = (...constraints: Parameters<typeof chooseTargets>[1]['constraints']) =>
    chooseTargets(agents, { constraints, replicas: 1 }).map(({ hostName }) => hostName)
  t.same(namesFor(), ['a', 'b', 'c'])
  t.same(namesFor({ label: 'rack', operator: '==', value: '1' }), ['a', 'c'])
  t.same(namesFor({ label: 'old', operator: '!=', value: 'yes' }), ['b', 'c'])
  t.same(chooseTargets(agents, { constraints: [], replicas: 0 }), [])
})

t.test('raises counters above everything that a host has seen, never lowers them', async (t) => {
  const mark = {
    environment: 'staging',
    service: 'api',
    fence: { generation: 9, epoch: 1, index: 2 },
    release: 4
  } as ServiceMark
  const inventory = {
    isEngineReachable: true,
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null
  }
  const [seen] = numbersSeen('staging', [mark], inventory)
  t.same(seen, { environment: 'staging', service: 'api', generation: 9, release: 4 })
  if (seen === undefined) return
  t.same(raised({ generation: 2, release: 7, heard: 0 }, seen), { generation: 9, release: 7, heard: 9 })
  t.equal(raised({ generation: 9, release: 4, heard: 0 }, seen), undefined)
  t.same(raised({ generation: 12, release: 3, heard: 9 }, seen), { generation: 12, release: 4, heard: 9 })
  t.same(numbersSeen('production', [mark], inventory), [], 'a host speaks for its own environment only')
  const liar = { ...mark, fence: { ...mark.fence, generation: 2 ** 53 - 1 } }
  t.same(numbersSeen('staging', [liar], inventory), [], 'nor is it believed what nobody can have counted to')
})

t.test('the largest spec fits into a command with the longest of everything else', async (t) => {
  const { key } = await generateSigningKey()
  const empty = { environment: { A: '' } } as unknown as ServiceSpec
  const value = 'x'.repeat(maxSpecBytes - specBytes(empty))
  const spec = { environment: { A: value } } as unknown as ServiceSpec
  t.equal(specBytes(spec), maxSpecBytes)
  const long = (count: number) => '\u0001'.repeat(count)
  const largest = 2 ** 53 - 1
  const command = {
    ids: Array.from({ length: 4 }, () => 'x'.repeat(24)),
    names: Array.from({ length: 2 }, () => 'x'.repeat(63)),
    fence: { generation: largest, epoch: largest, index: largest },
    notAfterMs: largest,
    timeLimitMs: largest,
    body: {
      kind: 'release',
      release: 1_000_000_000,
      image: { repository: 'x'.repeat(512), tag: 'x'.repeat(128), digest: 'x'.repeat(71) },
      spec,
      replace: long(255),
      recreate: false
    }
  }
  t.ok((await signJws('command', command, key)).length <= limits.maxCommandBytes)
})

t.test('removes containers by their ids only where the agent can', async (t) => {
  const content = { release: 1, repository: 'a', tag: null, digest: null, spec: undefined, replace: null }
  const named = commandBody({ kind: 'remove', release: null, containers: ['0123456789ab'] }, content)
  const whole = commandBody({ kind: 'remove', release: null, containers: null }, content)
  t.same(whole, { kind: 'remove', release: null }, 'an agent that knows no ids takes it')
  t.same(capabilitiesFor(named), ['remove', 'remove-containers'])
  t.same(capabilitiesFor(whole), ['remove'])
  const row = { command: 'cmd_00000000000000000001' as CommandId, needs: capabilitiesFor(named) }
  t.match(refusalFor({ ...row, state: 'owed' }, ['remove']), { code: 'unsupported' })
  t.equal(refusalFor({ ...row, state: 'owed' }, ['remove-containers']), null)
  t.equal(refusalFor({ ...row, state: 'accepted' }, []), null, 'only its report tells what became of it')
  t.equal(refusalFor({ ...row, needs: ['release'], state: 'owed' }, []), null)
})
