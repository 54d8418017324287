// Who keeps others away: the controller's lease, the locks of deployments, freezes, and the keys of requests.
import type { Kysely } from 'kysely'
import type { Writes } from '../../ports.ts'
import { freezeCodec, idempotencyKeyCodec, lockCodec, type Tables } from './tables.ts'
import { type ConflictTest, orConflict } from './write-conflicts.ts'

export const lockWrites = (db: Kysely<Tables>, isConflict: ConflictTest) =>
  ({
    insertLock: (row) =>
      orConflict(
        isConflict,
        db.insertInto('locks').values(lockCodec.encode(row)),
        `${row.service} in ${row.environment} is locked`
      ),
    putLease: async (row) => {
      await db
        .insertInto('lease')
        .values({ only: 1, ...row })
        .onConflict((conflict) => conflict.column('only').doUpdateSet(row))
        .execute()
    },
    holdLocks: async (owner, leaseUntilMs) => {
      const going = db.selectFrom('deployments').select('id').where('endedAtMs', 'is', null)
      await db.deleteFrom('locks').where('deployment', 'not in', going).execute()
      await db.updateTable('locks').set({ owner, leaseUntilMs }).execute()
    },
    deleteLock: async (environment, service) => {
      await db
        .deleteFrom('locks')
        .where('environment', '=', environment)
        .where('service', '=', service)
        .execute()
    },
    putFreeze: async (row) => {
      const values = freezeCodec.encode(row)
      await db
        .insertInto('freezes')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'service']).doUpdateSet(values))
        .execute()
    },
    deleteFreeze: async (environment, service) => {
      await db
        .deleteFrom('freezes')
        .where('environment', '=', environment)
        .where('service', '=', service ?? '')
        .execute()
    },
    putIdempotencyKey: async (row) => {
      const values = idempotencyKeyCodec.encode(row)
      await db
        .insertInto('idempotency_keys')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'key']).doUpdateSet(values))
        .execute()
    }
  }) satisfies Partial<Writes>
