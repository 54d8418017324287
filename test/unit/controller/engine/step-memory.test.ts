// What commands did is kept per deployment and target, once, and not for ever.
import type { AgentId, ServiceName, StepReceipt } from '@longshore/protocol'
import t from 'tap'
import { createStepMemory } from '../../../../packages/controller/src/engine/step-memory.ts'

const target = { service: 'web' as ServiceName, agent: 'agt_1' as AgentId }
const step = (name: string): StepReceipt => ({ step: name, startedMs: 0, endedMs: 5, outcome: 'done' })

t.test(
  'steps of several commands stand one after the other, also when a report is heard twice',
  async (t) => {
    const memory = createStepMemory()
    memory.keep('a', { ...target, index: 1 }, [step('fetch-image')])
    memory.keep('a', { ...target, index: 2 }, [step('stop-container'), step('create-container')])
    memory.keep('a', { ...target, index: 1 }, [step('fetch-image')])
    memory.keep('a', { ...target, index: 3 }, [])
    const names = memory.of('a', target).map((one) => one.step)
    t.same(names, ['fetch-image', 'stop-container', 'create-container'])
    t.same(memory.of('a', { ...target, service: 'api' as ServiceName }), [])
    t.same(memory.of('b', target), [])
  }
)

t.test('the oldest deployments are forgotten', async (t) => {
  const memory = createStepMemory()
  for (let number = 0; number < 60; number += 1)
    memory.keep(String(number), { ...target, index: 1 }, [step('fetch-image')])
  t.same(memory.of('0', target), [])
  t.equal(memory.of('59', target).length, 1)
})
