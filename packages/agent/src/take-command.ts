// From a command message to an answer: is it the controller's, is it for this agent, is it whole; then it is the
// runs' business. A command that fails here was never seen by anything that acts.
import {
  type AcceptedMessage,
  type AgentId,
  type CommandId,
  type CommandMessage,
  command,
  commandId,
  type InstallationId,
  ProtocolError,
  type RefusalCode,
  type RefusedMessage,
  readUnverified,
  type VerifyKey,
  verifyJws
} from '@longshore/protocol'
import * as z from 'zod'
import type { Log } from './link.ts'
import type { Runs } from './ports.ts'

export type CommandContext = {
  keyOf: (kid: string) => VerifyKey | undefined
  installation: InstallationId
  agent: AgentId
  runs: Pick<Runs, 'receive'>
  log: Log
}

/** @returns undefined: nothing to answer, because its report is sent again or because it has no readable id */
export const takeCommand = async (
  context: CommandContext,
  { jws, credentials = [] }: CommandMessage,
  controllerNowMs: () => number
): Promise<AcceptedMessage | RefusedMessage | undefined> => {
  try {
    const claims = await verifyJws('command', jws, context.keyOf, command)
    if (claims.installation !== context.installation || claims.agent !== context.agent) {
      return refuse(context, claims.id, 'forged', 'it is for another agent or installation')
    }
    try {
      return await context.runs.receive(claims, jws, controllerNowMs(), credentials)
    } catch (error) {
      // the journal could not take it, so it must not be acted on; a full disk may pass
      const why = error instanceof Error ? error.message : 'unknown reason'
      return refuse(context, claims.id, 'busy', why)
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const isMalformed = error.code === 'frame-malformed' || error.code === 'frame-too-large'
    return refuse(context, idWithin(jws), isMalformed ? 'malformed' : 'forged', error.message)
  }
}

const refuse = (
  context: CommandContext,
  id: CommandId | undefined,
  code: RefusalCode,
  detail: string
): RefusedMessage | undefined => {
  context.log.warn({ command: id, code, detail }, 'command refused before it was looked at')
  return id && { type: 'refused', command: id, code, detail: detail.slice(0, 2000) }
}

/** Only for the answer: which command the controller believes to have sent. */
const idWithin = (jws: string): CommandId | undefined => {
  try {
    return readUnverified('command', jws, z.object({ id: commandId })).id
  } catch {
    return undefined
  }
}
