// Carries out one step. One table, exhaustive over the kinds of step: a step without a function does not
// compile. An engine that goes away is waited for and the step executed again, which every step allows; only
// when it stays away does the step end as unknown.
import { limits } from '@longshore/protocol'
import type { StepResult } from './core/run-state.ts'
import type { Finding, Step, StepKind } from './core/steps.ts'
import { EngineError, engineErrors, isEngineError, StepError, StepUnknown } from './engine-error.ts'
import { awaitCommand, startCommand } from './execute/command.ts'
import {
  createContainer,
  remakeContainer,
  removeContainer,
  renameContainer,
  retireContainer,
  startContainer
} from './execute/containers.ts'
import { fetchImage } from './execute/fetch-image.ts'
import { awaitHealthy, monitor } from './execute/health.ts'
import { checkDisk, checkPorts, createNetwork, createOwnNetwork } from './execute/host.ts'
import { lookForImage, pruneImages, resolveImage, tagImage, verifyImage } from './execute/images.ts'
import { pause } from './execute/pause.ts'
import {
  checkProxy,
  closePorts,
  drainContainers,
  lookForProxy,
  shareTraffic,
  switchTraffic,
  takeOverPorts
} from './execute/traffic.ts'
import { handOver, takeAgent, tryAgent } from './execute/upgrade.ts'
import { enginePollMs, engineWaitMs, waitForEngine } from './execute/wait-for-engine.ts'
import type { Runtime } from './ports.ts'
import { ProxyError } from './proxy-error.ts'

type StepOf<K extends StepKind> = Extract<Step, { kind: K }>
type Executors = { [K in StepKind]: (runtime: Runtime, step: StepOf<K>) => Promise<Finding> }

const executors: Executors = {
  'check-disk': checkDisk,
  'check-ports': checkPorts,
  'check-proxy': checkProxy,
  'look-for-proxy': lookForProxy,
  'create-network': createNetwork,
  'create-own-network': createOwnNetwork,
  'resolve-image': resolveImage,
  'fetch-image': fetchImage,
  'look-for-image': lookForImage,
  'verify-image': verifyImage,
  'tag-image': tagImage,
  'create-container': createContainer,
  'remake-container': remakeContainer,
  'retire-container': retireContainer,
  'rename-container': renameContainer,
  'start-container': startContainer,
  'start-command': startCommand,
  'await-command': awaitCommand,
  'await-healthy': awaitHealthy,
  monitor,
  'share-traffic': shareTraffic,
  'switch-traffic': switchTraffic,
  'take-over-ports': takeOverPorts,
  'drain-containers': drainContainers,
  'close-ports': closePorts,
  'remove-container': removeContainer,
  'prune-images': pruneImages,
  'take-agent': takeAgent,
  'try-agent': tryAgent,
  'hand-over': handOver
}

/** Never rejects: whatever happens is a result. */
export const executeStep = async (runtime: Runtime, step: Step): Promise<StepResult> => {
  let deadlineMs: number | undefined
  for (let failures = 1; ; failures += 1) {
    const isRepeated = runtime.isRepeated || deadlineMs !== undefined
    try {
      return { kind: 'done', finding: await dispatch({ ...runtime, isRepeated }, step) }
    } catch (error) {
      if (error instanceof StepUnknown) return { kind: 'unknown', error: describe(error) }
      if (!isEngineError(error, 'unreachable', 'timed-out')) return { kind: 'failed', error: describe(error) }
      // From the first failure on: the step itself may have lasted longer before.
      deadlineMs ??= runtime.clock.monotonicMs() + engineWaitMs
      // An engine that answers and yet breaks off this very call would be asked without a pause.
      if (failures > 1) await pause(runtime, enginePollMs)
      const isBack = await waitForEngine(runtime, deadlineMs)
      if (!isBack) return { kind: 'unknown', error: describe(error) }
    }
  }
}

/** The table is typed by kind; a union of steps needs this one place that narrows both together. */
const dispatch = <K extends StepKind>(runtime: Runtime, step: StepOf<K>): Promise<Finding> =>
  (executors[step.kind] as (runtime: Runtime, step: StepOf<K>) => Promise<Finding>)(runtime, step)

/** Docker's, HAProxy's and our own failures as a run reports them. */
export const describe = (error: unknown): Extract<StepResult, { kind: 'failed' }>['error'] => {
  if (error instanceof EngineError) return reportOf(engineErrors[error.code].report, error.message, [])
  if (error instanceof ProxyError) return reportOf(error.code, error.message, [])
  if (error instanceof StepUnknown) return reportOf('interrupted', error.message, [])
  if (error instanceof StepError) {
    const { failedSources } = error
    const report = reportOf(error.code, error.message, error.log)
    return failedSources.length === 0 ? report : { ...report, failedSources }
  }
  return reportOf('engine-error', error instanceof Error ? error.message : String(error), [])
}

const reportOf = (code: StepError['code'], detail: string, log: string[]) => ({
  code,
  detail: detail.slice(0, limits.maxReasonChars),
  log: log.slice(-limits.maxCommandLogLines).map((line) => line.slice(0, limits.maxReportLineChars))
})
