// What is known of the release commands of a deployment: which one runs, what its answer says, in which words.
import type { RunOutcome } from '@longshore/protocol'
import { withPart } from './change-step.ts'
import type { Step } from './events.ts'
import { type DeploymentState, type Part, partOf, type ReleaseCommand, type Target } from './state.ts'

export const isRunningCommand = (state: DeploymentState): boolean =>
  state.parts.some(({ releaseCommand }) => releaseCommand?.state === 'running')

export const withReleaseCommand = (
  step: Step,
  key: Pick<Part, 'service'>,
  change: Partial<ReleaseCommand>
): Step => {
  const { releaseCommand } = partOf(step.state, key)
  if (releaseCommand === null) return step
  return withPart(step, key, { releaseCommand: { ...releaseCommand, ...change } })
}

export const recordRunOnce = (step: Step, target: Target, outcome: RunOutcome): Step => {
  if (outcome.status === 'succeeded') {
    const { result } = outcome
    return result.kind === 'run-once'
      ? withReleaseCommand(step, target, { state: 'succeeded', exitCode: 0, log: result.log })
      : withReleaseCommand(step, target, { state: 'unknown', reason: `it reported ${result.kind}` })
  }
  const { detail, log, exitCode = null, code } = outcome.error
  const state = outcome.status === 'unknown' ? 'unknown' : 'failed'
  const reason = detail === '' ? code : detail
  return withReleaseCommand(step, target, { state, reason, exitCode, log })
}

/** It was never begun there, and is not tried elsewhere: one deployment gives it once. */
export const recordRunOnceRefused = (step: Step, target: Target, reason: string): Step =>
  withReleaseCommand(step, target, { state: 'failed', reason: `it was not run: ${reason}` })

/** `the release command failed on host a: exit code 3` */
export const commandText = (part: Part, isSingle: boolean): string => {
  const { releaseCommand } = part
  const name = isSingle ? 'the release command' : `the release command of ${part.service}`
  if (releaseCommand === null) return `${name} is not there`
  const { state, host, reason } = releaseCommand
  const where = host === null ? '' : ` on host ${host}`
  const why = reason === null ? '' : `: ${reason}`
  if (state === 'unknown') return `how ${name} ended${where} is not known${why}`
  return `${name} ${state}${where}${why}`
}

/** Said of those that may still run although the deployment ends. */
export const unknownCommands = ({ parts }: DeploymentState): string =>
  parts
    .filter(({ releaseCommand }) => releaseCommand?.state === 'unknown')
    .map((part) => `; ${commandText(part, parts.length === 1)}`)
    .join('')

/** Said wherever a deployment ends without its release: what such a command changed is not taken back. */
export const lastingEffects = ({ parts }: DeploymentState): string =>
  parts.some(({ releaseCommand }) => releaseCommand !== null && releaseCommand.state !== 'pending')
    ? '; what the release command did stays'
    : ''
