// The controller's only writer: one change at a time, each one transaction, with its audit row inside. What a
// change does is left to the caller; what follows from it after the commit runs before the next change begins.
import { ProtocolError } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import { ImageError } from '../core/images/image-error.ts'
import type { Actor, AuditRow, Clock, Reads, Store, Tx } from '../ports.ts'

/** A store that refuses to write (a full disk) is asked again after this. */
export const retryMs = 5_000

/** Who asks for what, for the audit. `request` holds no secret. */
export type AuditNote = { actor: Actor; action: string; subject: string; request: unknown }

export type Writer = {
  /**
   * Runs `work` in a transaction and records it: outcome `ok`, or the code of the refusal when `work` throws
   * (then nothing but the audit row is written). Rethrows what `work` threw. Never call it from within `work`,
   * and read there through `tx` only: the queue would wait for itself.
   * @param committed runs after the commit and before the next change; must not throw
   * @param outcomeOf what the audit says instead of `ok`
   */
  change<T>(
    note: AuditNote,
    work: (tx: Tx) => Promise<T>,
    committed?: (result: T) => void,
    outcomeOf?: (result: T) => string
  ): Promise<T>
  /** The same for steps that append audit rows of their own. */
  step<T>(work: (tx: Tx) => Promise<T>, committed?: (result: T) => void): Promise<T>
  /** Records a refusal that was decided before any change began; not again what `change` has recorded. */
  refused(note: AuditNote, error: unknown): Promise<void>
  /** Resolves when everything asked for before has been done or refused. */
  idle(): Promise<void>
}

type Ports = {
  store: Store
  clock: Clock
  /** Asked first in every transaction, those of refusals too; absent where nobody else can write. */
  lease?: { require(reads: Reads): Promise<void> }
}

export const createWriter = (ports: Ports): Writer => {
  const transaction = <T>(work: (tx: Tx) => Promise<T>): Promise<T> =>
    ports.store.transaction(async (tx) => {
      await ports.lease?.require(tx)
      return work(tx)
    })
  let last: Promise<unknown> = Promise.resolve()

  const enqueue = <T>(turn: () => Promise<T>): Promise<T> => {
    const result = last.then(turn)
    last = result.catch(() => undefined)
    return result
  }
  const commit = async <T>(work: (tx: Tx) => Promise<T>, committed?: (result: T) => void): Promise<T> => {
    const result = await transaction(work)
    committed?.(result)
    return result
  }
  const recorded = new WeakSet<object>()
  const recordRefusal = async (note: AuditNote, error: unknown): Promise<void> => {
    if (error instanceof Error) {
      if (recorded.has(error)) return
      recorded.add(error)
    }
    const row = auditRow(note, refusalCodeOf(error), ports.clock.nowMs())
    await transaction((tx) => tx.appendAudit(row))
  }

  return {
    change: (note, work, committed, outcomeOf = () => 'ok') =>
      enqueue(async () => {
        try {
          return await commit(async (tx) => {
            const result = await work(tx)
            await tx.appendAudit(auditRow(note, outcomeOf(result), ports.clock.nowMs()))
            return result
          }, committed)
        } catch (error) {
          await recordRefusal(note, error)
          throw error
        }
      }),
    step: (work, committed) => enqueue(() => commit(work, committed)),
    refused: (note, error) => enqueue(() => recordRefusal(note, error)),
    idle: () => enqueue(() => Promise.resolve())
  }
}

/** A row of the audit: who asked for what, and how it went. */
export const auditRow = (
  note: AuditNote,
  outcome: string,
  atMs: number,
  evidence: string | null = null
): AuditRow => ({
  atMs,
  actorKind: note.actor.kind,
  actorId: note.actor.id,
  actorName: note.actor.name,
  address: note.actor.address,
  action: note.action,
  subject: note.subject,
  request: note.request,
  outcome,
  evidence
})

/** An error may carry a stable code; anything else is a fault of the controller. */
const refusalCodeOf = (error: unknown): string =>
  error instanceof ApiError || error instanceof ProtocolError || error instanceof ImageError
    ? error.code
    : 'internal'
