// The two steps around the command of a `run-once`: it is started once for ever, whatever dies in between, and its
// end is read from the container that it ran in. What nobody can know is said to be unknown.
import { limits } from '@longshore/protocol'
import type { CommandExit, Finding } from '../core/steps.ts'
import { EngineError, isEngineError, StepError, StepUnknown } from '../engine-error.ts'
import type { ContainerLook, Runtime } from '../ports.ts'
import { findContainer, nothing, type StepOf } from './containers.ts'
import { pause, throwIfStopped } from './pause.ts'
import { enginePollMs, engineWaitMs, waitForEngine } from './wait-for-engine.ts'

/** A command may run for minutes: its end need not be found within milliseconds. */
const lookEveryMs = 250
const firstLooksEveryMs = 25
/** A start that the engine took from an agent that died may not have come to the container yet. */
const doubtMs = 400
/** The stream of output ends with the container; one that does not is not waited for. */
const outputEndsMs = 1_000

/**
 * A container that is `created` was never started: while the engine starts one, it lets nobody inspect it. Its own
 * death in the middle of a start is the one case that leaves no trace.
 */
export const startCommand = async (runtime: Runtime, step: StepOf<'start-command'>): Promise<Finding> => {
  const found = await findBeforeStart(runtime, step)
  if (hasBegun(found)) return nothing
  // Asked for before it began: then it never begins.
  throwIfStopped(runtime)
  try {
    await runtime.engine.startContainer(found.id)
  } catch (error) {
    if (!isEngineError(error, 'unreachable', 'timed-out')) throw error
    await waitForEngine(runtime, runtime.clock.monotonicMs() + engineWaitMs)
    const after = await runtime.engine.inspectContainer(found.id)
    if (after === undefined || !hasBegun(after))
      throw new StepUnknown(
        'the engine went away while it started the command; nobody knows whether it began'
      )
  }
  return nothing
}

const findBeforeStart = async (runtime: Runtime, step: StepOf<'start-command'>): Promise<ContainerLook> => {
  const { engine, isRepeated } = runtime
  const first = await findContainer(engine, step.container)
  // Also when the run is to stop: what is said of it then must be true.
  const { clock } = runtime
  const signal = new AbortController().signal
  if (first !== undefined && isRepeated && !hasBegun(first)) await pause({ clock, signal }, doubtMs)
  const found = isRepeated ? await findContainer(engine, step.container) : first
  if (found !== undefined) return found
  if (isRepeated) throw new StepUnknown('the container of the command is gone; nobody knows whether it began')
  throw new StepError('interrupted', 'the container of the command was removed before it was started')
}

const hasBegun = (look: ContainerLook): boolean => look.state !== 'created'

const hasEnded = (look: ContainerLook): boolean =>
  !look.isRunning && !look.isRestarting && look.state !== 'paused'

export const awaitCommand = async (runtime: Runtime, step: StepOf<'await-command'>): Promise<Finding> => {
  const look = await demandBegun(runtime, step)
  const following = new AbortController()
  const followed = runtime.engine.followLog(
    look.id,
    { isFromStart: !runtime.isRepeated, signal: following.signal },
    (lines) => runtime.output(lines)
  )
  try {
    const ended = await waitForEnd(runtime, step, look)
    await Promise.race([followed, pause({ clock: runtime.clock, signal: following.signal }, outputEndsMs)])
    return { kind: 'exit', exit: await exitOf(runtime, ended) }
  } finally {
    following.abort()
  }
}

/** @throws StepUnknown, StepError `interrupted` when the run is to stop */
const waitForEnd = async (
  runtime: Runtime,
  step: StepOf<'await-command'>,
  first: ContainerLook
): Promise<ContainerLook> => {
  const beganAtMs = runtime.clock.monotonicMs()
  for (let look = first; ; look = await demandBegun(runtime, step)) {
    if (hasEnded(look)) return look
    if (runtime.signal.aborted) {
      const log = await readLastLines(runtime, look.id)
      throw new StepError('interrupted', 'the command was asked to stop', { log })
    }
    const waitedMs = runtime.clock.monotonicMs() - beganAtMs
    await pause(runtime, Math.min(lookEveryMs, Math.max(firstLooksEveryMs, waitedMs / 10)))
  }
}

/** The journal says that the command was started: without a container that shows it, nobody knows how it ended. */
const demandBegun = async (runtime: Runtime, step: StepOf<'await-command'>): Promise<ContainerLook> => {
  const look = await lookPatiently(runtime, step)
  if (look === undefined)
    throw new StepUnknown(
      'the container of the command was removed by something else; nobody knows how it ended'
    )
  if (!hasBegun(look))
    throw new StepUnknown('the engine has forgotten that it started the command; nobody knows how it ended')
  return look
}

/** An engine that answers with an error says nothing about the command, which may run on. */
const lookPatiently = async (
  runtime: Runtime,
  step: StepOf<'await-command'>
): Promise<ContainerLook | undefined> => {
  const deadlineMs = runtime.clock.monotonicMs() + engineWaitMs
  for (;;) {
    try {
      return await findContainer(runtime.engine, step.container)
    } catch (error) {
      if (isEngineError(error, 'unreachable', 'timed-out')) throw error
      const why = error instanceof Error ? error.message : String(error)
      if (!(error instanceof EngineError) || runtime.clock.monotonicMs() >= deadlineMs)
        throw new StepUnknown(`the engine does not say how the command does: ${why}`, { cause: error })
    }
    await pause(runtime, enginePollMs)
  }
}

const exitOf = async (runtime: Runtime, look: ContainerLook): Promise<CommandExit> => ({
  code: look.exitCode,
  log: await readLastLines(runtime, look.id)
})

/** The log is a help for people; without it the exit code stands all the same. */
const readLastLines = async ({ engine }: Runtime, id: string): Promise<string[]> => {
  const lines = await engine.readLog(id, limits.maxCommandLogLines).catch((): string[] => [])
  return lines.map((line) => line.slice(0, limits.maxReportLineChars))
}
