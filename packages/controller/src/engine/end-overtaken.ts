// Orders to go back that hosts were owed before a later deployment decided otherwise: they are not sent any more, and
// convergence takes those hosts straight to what was decided.
import type { AgentRow, OutboxRow, Tx } from '../ports.ts'

type Decision = { environment: string; service: string; generation: number; atMs: number }

/** @param hosts those that the later deployment left out; all others refuse what came before it as stale */
export const endOvertaken = async (tx: Tx, hosts: readonly AgentRow[], by: Decision): Promise<void> => {
  for (const { id: agent } of hosts)
    for (const row of await tx.outbox({ agent, isEnded: false }))
      if (isOvertaken(row, by)) await tx.putCommand({ ...row, state: 'ended', endedAtMs: by.atMs })
}

/** What was accepted is under way: its end is waited for. */
const isOvertaken = ({ service, kind, state, fence }: OutboxRow, by: Decision): boolean =>
  service === by.service &&
  state === 'owed' &&
  fence.generation < by.generation &&
  ['revert', 'remove', 'remove-containers'].includes(kind)
