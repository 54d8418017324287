// How long a container has been watched counts by when the engine was asked, not by when its answer came.
import t from 'tap'
import { monitor } from '../../../packages/agent/src/execute/health.ts'
import { lookOf, preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

t.test('an answer that is late says nothing about the time that passed meanwhile', async (t) => {
  let nowMs = 0
  let asked = 0
  const engine = preparedEngine({
    inspectContainer: async () => {
      asked += 1
      // the first is the look at which the watch begins
      if (asked === 2) nowMs += 60_000
      return lookOf(asked <= 2 ? {} : { state: 'exited', isRunning: false, exitCode: 3 })
    },
    readLog: async () => []
  })
  const runtime = runtimeOf(engine)
  const clock = {
    ...runtime.clock,
    monotonicMs: () => nowMs,
    after: (delayMs: number, wake: () => void) => {
      nowMs += delayMs
      setImmediate(wake)
      return () => undefined
    }
  }
  const step = {
    kind: 'monitor',
    containers: [{ by: 'id', id: 'c1' }],
    rule: { probe: null, timeoutMs: null },
    forMs: 300
  } as const
  await t.rejects(monitor({ ...runtime, clock }, { ...step, containers: [...step.containers] }), {
    code: 'container-exited',
    message: /exit code 3/
  })
})
