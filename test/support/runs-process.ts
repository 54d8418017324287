// The loop of runs as a process of its own, for tests that kill it. Arguments: journal, socket, file with a
// command or '' to recover only, and the position of the step at which it kills itself ('' for never).
// Prints the report of the last run as JSON and ends.
import { readFileSync } from 'node:fs'
import { command } from '@longshore/protocol'
import { createDockerClient } from '../../packages/agent/src/adapters/docker/client.ts'
import { createCredentials } from '../../packages/agent/src/adapters/docker/credentials.ts'
import { createEngine } from '../../packages/agent/src/adapters/docker/engine.ts'
import { createHostChecks } from '../../packages/agent/src/adapters/docker/host-checks.ts'
import { openJournal } from '../../packages/agent/src/adapters/journal.ts'
import { createPolicySource } from '../../packages/agent/src/adapters/policy-file.ts'
import type { Clock } from '../../packages/agent/src/ports.ts'
import { createRuns } from '../../packages/agent/src/runs.ts'
import { buildSampleRequest } from './run-samples.ts'

const [journal = '', socket = '', commandFile = '', killAt = ''] = process.argv.slice(2)

const clock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, wake) => {
    const timer = setTimeout(wake, delayMs)
    return () => clearTimeout(timer)
  }
}
const runs = createRuns(
  {
    engine: createEngine(createDockerClient(`unix://${socket}`), createCredentials({})),
    host: createHostChecks(),
    journal: openJournal(journal),
    clock,
    policy: createPolicySource(undefined)
  },
  { minFreeBytes: 0, buildRequest: buildSampleRequest },
  {
    progressed: ({ position, detail }) => {
      // The step has begun and its first call may or may not have reached the engine.
      if (killAt !== '' && detail === undefined && position === Number(killAt))
        setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(process.env['KILL_AFTER_MS'] ?? 0))
    },
    reported: (report) => {
      process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
    }
  }
)
await runs.recover()
if (commandFile !== '') {
  const answer = await runs.receive(command.parse(JSON.parse(readFileSync(commandFile, 'utf8'))), 'jws', 0)
  if (answer?.type === 'refused') throw new Error(`refused: ${answer.code} ${answer.detail}`)
} else if (runs.inFlight().length === 0) {
  process.stdout.write(`${JSON.stringify(runs.unacknowledged().at(-1) ?? null)}\n`, () => process.exit(0))
}
