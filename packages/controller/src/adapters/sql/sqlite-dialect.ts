// Everything that only SQLite understands: opening the file, Kysely's driver over node:sqlite, column types,
// which error means what. One connection; whoever wants it waits until the one before has given it back.
import { chmod } from 'node:fs/promises'
import { backup, DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  sql
} from 'kysely'
import { StoreFull } from '../../ports.ts'
import { StoreError } from './store-errors.ts'

/** How a table is declared here: STRICT refuses a value of another type instead of keeping it. */
export const tableEnd = sql`strict`
export const columnTypes = { text: 'text', whole: 'integer' } as const

/** SQLITE_BUSY, SQLITE_FULL, SQLITE_NOTADB; https://sqlite.org/rescode.html */
const busy = 5
const full = 13
const notADatabase = 26
/** SQLITE_CONSTRAINT_PRIMARYKEY and SQLITE_CONSTRAINT_UNIQUE. */
const uniqueViolations = [1555, 2067]

export const isUniqueViolation = (error: unknown): boolean =>
  uniqueViolations.some((code) => codeOf(error) === code)

/**
 * Opens the file and holds it: the exclusive lock is the operating system's, so it ends with the process however
 * that ends. https://sqlite.org/pragma.html#pragma_locking_mode
 * @throws StoreError `database-in-use`, `database-unusable`
 */
export const openDatabase = (path: string): DatabaseSync => {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0, enableForeignKeyConstraints: true })
    database.exec('PRAGMA locking_mode = EXCLUSIVE')
    database.exec('PRAGMA journal_mode = WAL')
    database.exec('PRAGMA synchronous = FULL')
    database.exec('BEGIN IMMEDIATE; COMMIT')
    return database
  } catch (error) {
    database?.close()
    throw openingError(path, error)
  }
}

/** Pages at a time: between them a signal is looked at. */
const pagesAtOnce = 1000

/** SQLite's own backup, by the connection that holds the file; nobody may write with it meanwhile. */
export const copyDatabase = async (
  database: DatabaseSync,
  path: string,
  signal: AbortSignal
): Promise<void> => {
  await backup(database, path, { rate: pagesAtOnce, progress: () => signal.throwIfAborted() })
  await chmod(path, 0o600)
  const copy = new DatabaseSync(path)
  try {
    // one file, without a -wal beside it
    copy.exec('PRAGMA journal_mode = DELETE')
  } finally {
    copy.close()
  }
}

/**
 * Copies a database that nobody has open, without bringing it to this version's schema.
 * @throws StoreError `database-in-use`, `database-unusable`
 */
export const copyIdleDatabase = async (path: string, target: string, signal: AbortSignal): Promise<void> => {
  const database = openDatabase(path)
  try {
    await copyDatabase(database, target, signal)
  } finally {
    database.close()
  }
}

/** The installation that a database of whatever version belongs to. @throws StoreError `database-unusable` */
export const installationIn = (path: string): string => {
  const database = openDatabase(path)
  try {
    return String(database.prepare('select id from installation').get()?.['id'])
  } catch (error) {
    throw openingError(path, error)
  } finally {
    database.close()
  }
}

/** @throws StoreError `database-unusable` when SQLite finds anything wrong in the file */
export const checkDatabase = (path: string): void => {
  const database = openDatabase(path)
  try {
    const [first] = database.prepare('PRAGMA integrity_check').all()
    if (first?.['integrity_check'] === 'ok') return
    throw new StoreError('database-unusable', `${path} is damaged: ${String(first?.['integrity_check'])}`)
  } catch (error) {
    throw error instanceof StoreError ? error : openingError(path, error)
  } finally {
    database.close()
  }
}

const openingError = (path: string, cause: unknown): StoreError => {
  const code = codeOf(cause)
  if (code === busy) {
    const detail = `${path} is in use by another controller process; stop that one first`
    return new StoreError('database-in-use', detail, { cause })
  }
  const why = code === notADatabase ? 'it is not an SQLite database' : String(cause)
  return new StoreError('database-unusable', `${path} cannot be opened: ${why}`, { cause })
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'errcode' in error ? error.errcode : undefined

export const sqliteDialect = (database: DatabaseSync): Dialect => ({
  createAdapter: () => new SqliteAdapter(),
  createDriver: () => new NodeSqliteDriver(database),
  createIntrospector: (db) => new SqliteIntrospector(db),
  createQueryCompiler: () => new SqliteQueryCompiler()
})

class NodeSqliteDriver implements Driver {
  readonly #database: DatabaseSync
  readonly #connection: DatabaseConnection
  readonly #waiting: (() => void)[] = []
  #isTaken = false

  constructor(database: DatabaseSync) {
    this.#database = database
    this.#connection = connectionTo(database)
  }

  async init(): Promise<void> {}

  /** Waits in order: a read outside never sees the inside of a transaction. */
  async acquireConnection(): Promise<DatabaseConnection> {
    if (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#isTaken = true
    return this.#connection
  }

  async releaseConnection(): Promise<void> {
    const next = this.#waiting.shift()
    if (next === undefined) this.#isTaken = false
    else next()
  }

  async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }
  async commitTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('commit'))
  }
  /** SQLite ends the transaction itself after some errors (a full disk); a second rollback would hide them. */
  async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.isTransaction) await connection.executeQuery(CompiledQuery.raw('rollback'))
  }
  async destroy(): Promise<void> {
    this.#database.close()
  }
}

/** Preparing costs more than running: the store has a few dozen texts, and migrations must not fill this. */
const maxPrepared = 200

const connectionTo = (database: DatabaseSync): DatabaseConnection => {
  const prepared = new Map<string, { statement: StatementSync; hasRows: boolean }>()
  const prepare = (sql: string) => {
    const known = prepared.get(sql)
    if (known !== undefined) return known
    const statement = database.prepare(sql)
    const fresh = { statement, hasRows: statement.columns().length > 0 }
    if (prepared.size < maxPrepared) prepared.set(sql, fresh)
    return fresh
  }
  return {
    executeQuery: async <R>(query: CompiledQuery): Promise<QueryResult<R>> => {
      const { statement, hasRows } = prepare(query.sql)
      const values = query.parameters.map(bindable)
      try {
        if (hasRows) return { rows: statement.all(...values) as R[] }
        return { rows: [], numAffectedRows: BigInt(statement.run(...values).changes) }
      } catch (cause) {
        if (codeOf(cause) !== full) throw cause
        throw new StoreFull('the disk under the data directory is full', { cause })
      }
    },
    streamQuery: () => {
      throw new StoreError('value-refused', 'the store does not stream')
    }
  }
}

/** node:sqlite takes an object in first place for named parameters and then stores NULL: nothing but values pass. */
const bindable = (value: unknown): SQLInputValue => {
  if (value === null || typeof value === 'string' || typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new StoreError(
    'value-refused',
    `the store takes no ${value === undefined ? 'undefined' : typeof value}`
  )
}
