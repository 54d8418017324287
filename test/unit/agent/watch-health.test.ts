// How long a container has been watched counts by when the engine was asked, not by when its answer came.
import t from 'tap'
import { monitor } from '../../../packages/agent/src/execute/health.ts'
import type { ContainerLook } from '../../../packages/agent/src/ports.ts'
import { preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

const running: ContainerLook = {
  id: 'c1',
  name: 'web-r2-0',
  state: 'running',
  health: 'none',
  image: 'web',
  createdAtMs: 0,
  restart: { name: 'no', maxRetries: 0 },
  owner: null,
  publishes: [],
  ownAddress: null,
  finishedAtMs: null,
  isRunning: true,
  isRestarting: false,
  startedAt: 'once',
  restartCount: 0,
  exitCode: 0,
  checkup: null,
  lastCheck: null,
  addresses: [],
  bindings: [],
  isOnHostNetwork: false,
  adjustable: {},
  networks: []
}

t.test('an answer that is late says nothing about the time that passed meanwhile', async (t) => {
  let nowMs = 0
  let asked = 0
  const engine = preparedEngine({
    inspectContainer: async () => {
      asked += 1
      // the first is the look at which the watch begins
      if (asked === 2) nowMs += 60_000
      return asked <= 2 ? running : { ...running, state: 'exited', isRunning: false, exitCode: 3 }
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
