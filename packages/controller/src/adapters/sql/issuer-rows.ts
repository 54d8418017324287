// Issuers of ID tokens: read and written. Client secrets come sealed and stay so.
import type { Kysely } from 'kysely'
import type { Reads, Writes } from '../../ports.ts'
import { many } from './run-query.ts'
import { issuerCodec, type Tables } from './tables.ts'

export const issuerReads = (db: Kysely<Tables>) =>
  ({
    issuers: () => many(issuerCodec, db.selectFrom('issuers').selectAll().orderBy('name'))
  }) satisfies Partial<Reads>

export const issuerWrites = (db: Kysely<Tables>) =>
  ({
    putIssuer: async (row) => {
      const values = issuerCodec.encode(row)
      await db
        .insertInto('issuers')
        .values(values)
        .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
        .execute()
    },
    deleteIssuer: async (name) => {
      await db.deleteFrom('issuers').where('name', '=', name).execute()
    }
  }) satisfies Partial<Writes>
