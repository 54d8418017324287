// Deployments in progress as this controller wrote them last, so that not every step reads a large state again. Nobody
// else writes (the lease says so); what is in doubt, a transaction that was rolled back, is read from the store.
import type { DeploymentRow, Tx } from '../ports.ts'

export type KnownRows = {
  find(tx: Tx, id: string): Promise<DeploymentRow | undefined>
  /** Written in a transaction that is not committed yet: only there it counts. */
  drafted(tx: Tx, row: DeploymentRow): void
  committed(row: DeploymentRow): void
}

export const createKnownRows = (): KnownRows => {
  const known = new Map<string, DeploymentRow>()
  const drafts = new WeakMap<Tx, Map<string, DeploymentRow>>()
  return {
    find: async (tx, id) => drafts.get(tx)?.get(id) ?? known.get(id) ?? (await tx.deployment(id)),
    drafted: (tx, row) => {
      known.delete(row.id)
      drafts.set(tx, (drafts.get(tx) ?? new Map<string, DeploymentRow>()).set(row.id, row))
    },
    committed: (row) => {
      if (row.phase === 'ended') known.delete(row.id)
      else known.set(row.id, row)
    }
  }
}
