// The loop of runs as a process of its own, for tests that kill it. Arguments: journal, the engine's socket, and the
// free bytes to demand. Reads JSON lines: a command to take, perhaps with the position of the step at which to die;
// or the id of a run to cancel. Writes JSON lines: progress, reports and refusals, as they come.
import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Command, CommandId, ProgressMessage, RefusedMessage, RunReport } from '@longshore/protocol'
import { createClock } from '../../packages/agent/src/adapters/clock.ts'
import { createDockerClient } from '../../packages/agent/src/adapters/docker/client.ts'
import { createCredentials } from '../../packages/agent/src/adapters/docker/credentials.ts'
import { createEngine } from '../../packages/agent/src/adapters/docker/engine.ts'
import { createHostChecks } from '../../packages/agent/src/adapters/docker/host-checks.ts'
import { createContainerWatch } from '../../packages/agent/src/adapters/docker/watch.ts'
import { createArtifactDoor } from '../../packages/agent/src/adapters/door/artifact-door.ts'
import { processLife } from '../../packages/agent/src/adapters/haproxy/life.ts'
import { createProxy } from '../../packages/agent/src/adapters/haproxy/proxy.ts'
import { openJournal } from '../../packages/agent/src/adapters/journal.ts'
import { createPolicySource } from '../../packages/agent/src/adapters/policy-file.ts'
import { expressRequest } from '../../packages/agent/src/core/express-request.ts'
import { defaultSubnets } from '../../packages/agent/src/core/own-network.ts'
import { keepRoutes, type RouteKeeper } from '../../packages/agent/src/keep-routes.ts'
import { createRuns } from '../../packages/agent/src/runs.ts'
import { noArtifacts, withoutProxy } from './no-proxy.ts'
import { sampleCommand } from './run-samples.ts'

const noLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined
}

export type Told = ProgressMessage | RefusedMessage | { type: 'report'; report: RunReport }
export type Asked =
  | { kind: 'take'; command: Command; dieAtStep: number | null; dieAfterMs: number }
  | { kind: 'cancel'; command: CommandId }

const oldestApiMinor = 41

/** @param controller base URL of what stands in for it; absent: it keeps no images */
const doorTo = (controller: string | undefined) =>
  controller === undefined
    ? noArtifacts
    : createArtifactDoor({
        base: new URL(controller),
        tls: null,
        token: async () => process.env['TEST_TOKEN'] ?? 'of-the-test',
        randomBytes,
        log: noLog
      })

const live = async (journal: string, socket: string, minFreeBytes: number): Promise<void> => {
  const tell = (told: Told): void => void process.stdout.write(`${JSON.stringify(told)}\n`)
  const death = { atStep: null as number | null, afterMs: 0 }
  const clock = createClock()
  const docker = createDockerClient(`unix://${socket}`)
  const engine = createEngine(docker, createCredentials(process.env))
  const events = createContainerWatch(docker, engine, clock, {
    installation: () => undefined,
    recordOf: () => undefined
  })
  const proxy = await createProxy({
    folder: join(dirname(journal), 'haproxy'),
    life: processLife,
    clock,
    log: noLog
  })
  let keeper: RouteKeeper | undefined
  const runs = createRuns(
    {
      engine,
      proxy,
      events,
      ownSubnets: defaultSubnets,
      artifacts: doorTo(process.env['TEST_CONTROLLER']),
      host: createHostChecks(),
      journal: openJournal(journal),
      clock,
      policy: createPolicySource(undefined),
      openLogin: withoutProxy.openLogin
    },
    { minFreeBytes, buildRequest: (input) => expressRequest(input, oldestApiMinor) },
    {
      progressed: (message) => {
        tell(message)
        // The step has begun and its first call may or may not have reached the engine.
        if (message.position === death.atStep && message.detail === undefined)
          clock.after(death.afterMs, () => process.kill(process.pid, 'SIGKILL'))
      },
      reported: (report) => {
        tell({ type: 'report', report })
        keeper?.look()
      }
    }
  )
  for (const report of runs.unacknowledged()) tell({ type: 'report', report })
  await runs.recover()
  const { installation } = sampleCommand(1, { kind: 'remove', release: null })
  keeper = keepRoutes({
    proxy,
    engine,
    events,
    runs,
    installation: () => installation,
    clock,
    log: noLog
  })
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line) as Asked
    if (asked.kind === 'cancel') {
      runs.cancel(asked.command)
      continue
    }
    death.atStep = asked.dieAtStep
    death.afterMs = asked.dieAfterMs
    const answer = await runs.receive(asked.command, 'jws', 0)
    if (answer?.type === 'refused') tell(answer)
  }
  process.exit(0)
}

if (import.meta.main) {
  const [journal = '', socket = '', minFreeBytes = '0'] = process.argv.slice(2)
  await live(journal, socket, Number(minFreeBytes))
}
