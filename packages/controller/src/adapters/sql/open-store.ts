// The controller's store on one SQLite file: opened, locked, brought to this version's schema. The rows are left
// to read-rows and write-rows; a store on PostgreSQL differs from here and from sqlite-dialect only.
import { Kysely } from 'kysely'
import type { Store } from '../../ports.ts'
import { migrate } from './migrations.ts'
import { readsOf } from './read-rows.ts'
import {
  columnTypes,
  copyDatabase,
  isUniqueViolation,
  openDatabase,
  sqliteDialect,
  tableEnd
} from './sqlite-dialect.ts'
import type { Tables } from './tables.ts'
import { writesOf } from './write-rows.ts'

export type SqliteStore = Store & {
  /** A copy as of one moment, one file; everything else waits meanwhile, about a second for 200 MB. */
  copyTo(path: string, signal: AbortSignal): Promise<void>
}

/**
 * Reads outside a transaction wait for the transaction in progress; inside one only `tx` may be used.
 * @param options.path the database file, or `:memory:`; `nowMs` is noted beside each migration applied; `migrating` is
 * called before the first of them, which may take minutes
 * @throws StoreError `database-in-use`, `database-newer`, `database-unusable`
 */
export const openStore = async (options: {
  path: string
  nowMs?: number
  migrating?: () => void
}): Promise<SqliteStore> => {
  const database = openDatabase(options.path)
  const db = new Kysely<Tables>({ dialect: sqliteDialect(database) })
  try {
    await migrate(db, { columnTypes, tableEnd }, options.nowMs ?? 0, options.migrating)
  } catch (error) {
    await db.destroy()
    throw error
  }
  return {
    ...readsOf(db),
    transaction: (work) =>
      db.transaction().execute((tx) => work({ ...readsOf(tx), ...writesOf(tx, isUniqueViolation) })),
    copyTo: (path, signal) => db.connection().execute(() => copyDatabase(database, path, signal)),
    close: () => db.destroy()
  }
}
