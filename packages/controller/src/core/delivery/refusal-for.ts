// What an agent cannot do, by what its assertion announced: such a command is not sent, and its deployment is told so
// in words that say what to do about it.
import type { Capability, CommandId, RefusedMessage } from '@longshore/protocol'

type Sent = { command: CommandId; needs: readonly Capability[]; state: 'owed' | 'accepted' | 'ended' }

/** Every agent that ever was can do these, whatever it announces. */
const always: readonly Capability[] = ['resolve', 'stage', 'release', 'revert', 'settle', 'remove']

/** @returns null: it can be sent. What was accepted once is asked for again: only its report tells what became of it. */
export const refusalFor = (
  { command, needs, state }: Sent,
  capabilities: readonly string[]
): RefusedMessage | null => {
  const missing = needs.find((one) => !always.includes(one) && !capabilities.includes(one))
  if (state !== 'owed' || missing === undefined) return null
  const detail = `the agent of this host is too old for it (it cannot do ${missing}): upgrade the agent`
  return { type: 'refused', command, code: 'unsupported', detail }
}
