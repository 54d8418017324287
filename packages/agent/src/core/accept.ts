// What to answer to a command that arrived: take it, repeat an earlier answer, or refuse it. Pure; the
// signature, agent and installation were checked before, and writing to the journal comes after.
import type { Command, Fence, RefusalCode } from '@longshore/protocol'
import { compareFences } from '@longshore/protocol'
import { checkPolicy, type PolicyState } from './policy.ts'

export type Acceptance =
  | { kind: 'take' }
  /** In the journal already, not ended: say `accepted` once more. */
  | { kind: 'repeat-accepted' }
  /** In the journal and ended: its stored report is the answer. */
  | { kind: 'repeat-report' }
  | { kind: 'refuse'; code: RefusalCode; detail: string }

export type AcceptanceInput = {
  command: Command
  /** What the journal knows of this id. */
  known: 'absent' | 'open' | 'ended'
  /** Highest fence taken for this service and environment. */
  highestFence: Fence | null
  /** The controller's time, milliseconds since the epoch. */
  controllerNowMs: number
  openCommands: number
  maxOpenCommands: number
  policy: PolicyState
}

/** Order matters: a duplicate is answered as before, however late, stale or forbidden it has become. */
export const decideAcceptance = (input: AcceptanceInput): Acceptance => {
  const { command, highestFence } = input
  if (input.known === 'open') return { kind: 'repeat-accepted' }
  if (input.known === 'ended') return { kind: 'repeat-report' }
  if (highestFence !== null && compareFences(command.fence, highestFence) < 0)
    return refuse(
      'stale',
      `a command with the fence ${words(highestFence)} came before ${words(command.fence)}`
    )
  if (input.controllerNowMs > command.notAfterMs)
    return refuse('expired', `its time ended ${input.controllerNowMs - command.notAfterMs} ms ago`)
  const unsupported = findUnsupported(command)
  if (unsupported !== null) return refuse('unsupported', unsupported)
  const forbidden = checkPolicy(input.policy, command.service, command.body)
  if (forbidden !== null) return refuse('policy', forbidden)
  if (input.openCommands >= input.maxOpenCommands)
    return refuse('busy', `${input.openCommands} commands wait on this host already`)
  return { kind: 'take' }
}

const findUnsupported = ({ body }: Command): string | null => {
  if (body.kind !== 'stage' && body.kind !== 'release') return null
  if (body.spec.update.order === 'start-first') return 'this agent cannot switch start-first'
  const isOnFixedPort = body.spec.ports.some((port) => port.published !== null)
  if (body.spec.replicas > 1 && isOnFixedPort)
    return 'several replicas on one fixed port need start-first, which this agent cannot do'
  return null
}

const refuse = (code: RefusalCode, detail: string): Acceptance => ({ kind: 'refuse', code, detail })

const words = ({ generation, epoch, index }: Fence): string => `${generation}.${epoch}.${index}`
