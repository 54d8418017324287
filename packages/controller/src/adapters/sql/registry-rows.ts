// How hosts log in to registries: read and written. Passwords come sealed and stay so.
import type { Kysely } from 'kysely'
import type { Reads, Writes } from '../../ports.ts'
import { many, one } from './run-query.ts'
import { registryLoginCodec, type Tables } from './tables.ts'

export const registryReads = (db: Kysely<Tables>) =>
  ({
    registryLogins: () =>
      many(registryLoginCodec, db.selectFrom('registry_logins').selectAll().orderBy('host')),
    registryLogin: (host) =>
      one(registryLoginCodec, db.selectFrom('registry_logins').selectAll().where('host', '=', host))
  }) satisfies Partial<Reads>

export const registryWrites = (db: Kysely<Tables>) =>
  ({
    putRegistryLogin: async (row) => {
      const values = registryLoginCodec.encode(row)
      await db
        .insertInto('registry_logins')
        .values(values)
        .onConflict((conflict) => conflict.column('host').doUpdateSet(values))
        .execute()
    },
    deleteRegistryLogin: async (host) => {
      await db.deleteFrom('registry_logins').where('host', '=', host).execute()
    }
  }) satisfies Partial<Writes>
