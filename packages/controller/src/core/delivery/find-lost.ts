// Which release commands a host may have forgotten: its agent's journal was lost or an older one put back. Sent again,
// such a command would be taken as new and run twice.
import {
  type CommandId,
  compareFences,
  type DeploymentId,
  type Fence,
  type HelloMessage,
  type RunOutcome
} from '@longshore/protocol'

type Sent = {
  command: CommandId
  deployment: DeploymentId
  service: string
  kind: string
  state: 'owed' | 'accepted' | 'ended'
  fence: Fence
}
type Known = Pick<HelloMessage, 'marks' | 'runs' | 'inventory'>

/**
 * What was accepted stands in the journal with its fence. What is owed may have been accepted too, unheard; a journal
 * that is whole has at least the vote of the same deployment. Of a command whose container is there yet, the agent finds
 * out how it ended.
 */
export const isLost = (sent: Sent, environment: string, { marks, runs, inventory }: Known): boolean => {
  const { command, deployment, service, kind, state, fence } = sent
  if (kind !== 'run-once' || runs.includes(command)) return false
  const mark = marks.find((one) => one.environment === environment && one.service === service)
  const known = state === 'accepted' ? fence : { ...fence, epoch: 0, index: 0 }
  if (mark !== undefined && compareFences(mark.fence, known) >= 0) return false
  return !inventory.containers.some(
    (one) => one.role === 'once' && one.service === service && one.deployment === deployment
  )
}

/** Told in place of the report that will never come. What serves is not touched by a release command. */
export const lostOutcome = (detail: string): RunOutcome => ({
  status: 'unknown',
  error: { code: 'interrupted', detail, step: null, log: [] },
  serving: 'unknown',
  release: null
})

export const lostJournal =
  'its agent has lost its journal since it voted; it may have run, and is not sent again'

/** @param refusal of a command that was accepted before */
export const refusedLater = (code: string, detail: string): string =>
  `its agent had accepted it, and refused it (${code}: ${detail}) when it was asked again; it may have run`
