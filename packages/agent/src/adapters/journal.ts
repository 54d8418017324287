// The journal on disk: node:sqlite, write-ahead log, every commit synced, so that what a call returned for is
// there after a power loss. JSON that the agent wrote itself is parsed back without a schema; commands and
// reports, which outlive versions of the agent, are checked.
import { chmodSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import {
  agentCapabilities,
  type Command,
  command as commandSchema,
  compareFences,
  type Fence,
  isLook,
  type RunReport,
  runReport,
  type ServiceMark,
  serviceMark
} from '@longshore/protocol'
import type { ReleaseRecord } from '../core/observation.ts'
import { type RunState, reviveRun } from '../core/run-state.ts'
import { JournalError } from '../journal-error.ts'
import type { Journal, KnownImages } from '../ports.ts'
import { addedTables, journalTables, journalVersion } from './journal-schema.ts'

/** Create requests kept per service: current, previous, and some for a rollback after refused releases. */
const keptReleases = 5
/** Far more images than a host keeps; one that falls out is fetched again when it is needed. */
const keptImages = 500

/** Opens or creates the journal file. @throws JournalError */
export const openJournal = (path: string): Journal => {
  const db = openDatabase(path)
  const prepared = new Map<string, StatementSync>()
  const prepare = (text: string): StatementSync => {
    const known = prepared.get(text) ?? db.prepare(text)
    prepared.set(text, known)
    return known
  }
  const sql: Sql = {
    tx: (work) => orJournalError(path, () => transact(db, work)),
    run: (text, ...values) => void prepare(text).run(...values),
    all: (text, ...values) => prepare(text).all(...values),
    one: (text, ...values) => prepare(text).get(...values)
  }
  return {
    ...runCalls(sql),
    ...reportCalls(sql),
    ...serviceCalls(sql),
    images: imageCalls(sql),
    close: () => db.close()
  }
}

/** Whether this version can read the journal that another process has open; writes nothing. @throws JournalError */
export const checkJournal = (path: string): void =>
  orJournalError(path, () => {
    const db = new DatabaseSync(path, { readOnly: true })
    try {
      demandVersion(db, path)
    } finally {
      db.close()
    }
  })

const looks = agentCapabilities
  .filter(isLook)
  .map((kind) => `'${kind}'`)
  .join(', ')

type Run = (text: string, ...values: SQLInputValue[]) => void
type Sql = {
  /** All of it or nothing, on disk at the return. */
  tx: <T>(work: () => T) => T
  run: Run
  all: (text: string, ...values: SQLInputValue[]) => Row[]
  one: (text: string, ...values: SQLInputValue[]) => Row | undefined
}

const runCalls = (sql: Sql): Pick<Journal, 'begin' | 'find' | 'saveRun' | 'openRuns' | 'prune'> => ({
  begin: (command, jws, state, atMs) => sql.tx(() => begin(sql, command, jws, state, atMs)),
  find: (id) => {
    const row = sql.one(
      'select c.command, r.report from commands c left join reports r on r.command = c.id where c.id = ?',
      id
    )
    if (row === undefined) return undefined
    return { command: readCommand(text(row, 'command')), report: readReport(row['report']) }
  },
  saveRun: (id, state, record) =>
    sql.tx(() => {
      sql.run('update runs set state = ? where command = ?', JSON.stringify(state), id)
      if (record !== null) saveRelease(sql.run, record, state)
    }),
  openRuns: () =>
    sql
      .all(
        'select r.state from runs r join commands c on c.id = r.command where c.ended_at_ms is null order by c.position'
      )
      .map((row) => reviveRun(JSON.parse(text(row, 'state')) as RunState)),
  prune: ({ beforeMs, looksBeforeMs }, controllerNowMs) =>
    sql.tx(() =>
      sql.run(
        `delete from commands where ended_at_ms is not null and ended_at_ms < ? and not_after_ms < ? and
         (ended_at_ms < ? or command ->> '$.body.kind' in (${looks})) and id in
         (select command from reports where number <=
           (select cast(value as integer) from meta where key = 'acknowledged'))`,
        Math.max(beforeMs, looksBeforeMs),
        controllerNowMs,
        beforeMs
      )
    )
})

const reportCalls = (sql: Sql): Pick<Journal, 'endRun' | 'unacknowledged' | 'acknowledge'> => {
  const lastNumber = () => readNumber(sql.one("select value from meta where key = 'reports'"))
  const unacknowledged = (): RunReport[] =>
    sql
      .all(
        "select report from reports where number > (select cast(value as integer) from meta where key = 'acknowledged') order by number"
      )
      .flatMap((row) => readReport(row['report']) ?? [])
  return {
    endRun: (id, state, outcome, steps, atMs) =>
      sql.tx(() => {
        const number = lastNumber() + 1
        const report: RunReport = { command: id, number, outcome, steps }
        const json = JSON.stringify(report)
        sql.run("update meta set value = ? where key = 'reports'", String(number))
        sql.run('insert into reports (number, command, report) values (?, ?, ?)', number, id, json)
        sql.run('update runs set state = ? where command = ?', JSON.stringify(state), id)
        sql.run('update commands set ended_at_ms = ? where id = ?', atMs, id)
        return report
      }),
    unacknowledged,
    acknowledge: (upTo) =>
      sql.tx(() => {
        if (upTo > lastNumber()) renumber(sql.run, unacknowledged(), upTo)
        sql.run(
          "update meta set value = ? where key = 'acknowledged' and cast(value as integer) < ?",
          String(upTo),
          upTo
        )
      })
  }
}

const serviceCalls = (sql: Sql): Pick<Journal, 'highestFence' | 'marks' | 'releases' | 'allReleases'> => ({
  highestFence: (environment, service) => readFence(sql, environment, service),
  marks: () =>
    sql
      .all('select environment, service, fence, release from fences order by environment, service')
      .map(readMark),
  releases: (environment, service) =>
    sql
      .all(
        'select record from releases where environment = ? and service = ? order by generation desc, release desc',
        environment,
        service
      )
      .map(readRecord),
  allReleases: () => sql.all('select record from releases').map(readRecord)
})

const imageCalls = (sql: Sql): KnownImages => ({
  find: ({ digest, platform }) => {
    const row = sql.one('select id from images where digest = ? and platform = ?', digest, platform ?? '')
    return row === undefined ? undefined : text(row, 'id')
  },
  remember: ({ digest, platform, id }) =>
    sql.tx(() => {
      sql.run('replace into images (digest, platform, id) values (?, ?, ?)', digest, platform ?? '', id)
      sql.run('delete from images where position <= (select max(position) from images) - ?', keptImages)
    }),
  digestOf: (id) => {
    const row = sql.one('select digest from images where id = ?', id)
    return row === undefined ? undefined : text(row, 'digest')
  },
  forget: ({ digest, platform }) =>
    sql.tx(() => sql.run('delete from images where digest = ? and platform = ?', digest, platform ?? ''))
})

const readRecord = (row: Row): ReleaseRecord => JSON.parse(text(row, 'record')) as ReleaseRecord

const readFence = (sql: Sql, environment: string, service: string): Fence | null => {
  const row = sql.one('select fence from fences where environment = ? and service = ?', environment, service)
  return row === undefined ? null : (JSON.parse(text(row, 'fence')) as Fence)
}

const begin = (sql: Sql, command: Command, jws: string, state: RunState, atMs: number): void => {
  const { run } = sql
  const { id, environment, service, notAfterMs } = command
  run(
    `insert into commands (id, environment, service, command, jws, not_after_ms, received_at_ms)
     values (?, ?, ?, ?, ?, ?, ?)`,
    id,
    environment,
    service,
    JSON.stringify(command),
    jws,
    notAfterMs,
    atMs
  )
  run('insert into runs (command, state) values (?, ?)', id, JSON.stringify(state))
  if (isLook(command.body.kind)) return
  const highest = readFence(sql, environment, service)
  const fence = highest === null || compareFences(command.fence, highest) > 0 ? command.fence : highest
  run(
    `insert into fences (environment, service, fence, release) values (?, ?, ?, ?)
     on conflict (environment, service) do update set fence = excluded.fence,
     release = nullif(max(coalesce(fences.release, 0), coalesce(excluded.release, 0)), 0)`,
    environment,
    service,
    JSON.stringify(fence),
    releaseIn(command)
  )
}

const releaseIn = ({ body }: Command): number | null => {
  // A rehearsal may use a number that no deployment has reserved.
  if (body.kind === 'resolve' || body.kind === 'plan' || body.kind === 'rehearse') return null
  return body.kind === 'revert' ? Math.max(body.from, body.to) : body.release
}

/** Saved in the order of releases begun, so that the oldest falls out; never what serves, however many fail after it. */
const saveRelease = (run: Run, record: ReleaseRecord, state: RunState): void => {
  const { environment, service, release } = record
  const { generation } = state.task.command.fence
  run(
    `insert into releases (environment, service, release, record, generation) values (?, ?, ?, ?, ?)
     on conflict (environment, service, release) do update
     set record = excluded.record, generation = excluded.generation`,
    environment,
    service,
    release,
    JSON.stringify(record),
    generation
  )
  run(
    `delete from releases where environment = ? and service = ? and release is not ? and release not in
     (select release from releases where environment = ? and service = ? order by generation desc limit ${keptReleases})`,
    environment,
    service,
    state.before.release,
    environment,
    service
  )
}

/**
 * The controller has more reports of this agent than this journal ever numbered: an earlier journal was lost, or an
 * older one put back. Its acknowledgement tells nothing of the reports that wait here, so they go behind it.
 */
const renumber = (run: Run, waiting: readonly RunReport[], above: number): void => {
  waiting.toReversed().forEach((report, index) => {
    const number = above + waiting.length - index
    run(
      'update reports set number = ?, report = ? where number = ?',
      number,
      JSON.stringify({ ...report, number }),
      report.number
    )
  })
  run('update meta set value = ? where key = ?', String(above + waiting.length), 'reports')
}

const openDatabase = (path: string): DatabaseSync =>
  orJournalError(path, () => {
    const db = new DatabaseSync(path)
    // Commands hold the environment of services. SQLite gives its side files the mode of this one.
    if (db.location() !== null) chmodSync(path, 0o600)
    db.exec(
      'pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; pragma busy_timeout = 2000'
    )
    const check = db.prepare('pragma quick_check(1)').get()
    if (check?.['quick_check'] !== 'ok') throw new JournalError('journal-corrupt', corruptWords(path))
    createTables(db, path)
    return db
  })

/** Primary result codes, https://www.sqlite.org/rescode.html */
const sqliteBusy = 5
const sqliteLocked = 6
const sqliteCorrupt = 11
const sqliteNotDatabase = 26

/** SQLite's failures by what can be done about them; other errors as they are. */
const orJournalError = <T>(path: string, work: () => T): T => {
  try {
    return work()
  } catch (cause) {
    if (!(cause instanceof Error) || !('errcode' in cause) || typeof cause.errcode !== 'number') throw cause
    // the upper bits detail the primary code
    switch (cause.errcode & 0xff) {
      case sqliteBusy:
      case sqliteLocked:
        throw new JournalError('journal-locked', `the journal ${path} is held by another process`, { cause })
      case sqliteCorrupt:
      case sqliteNotDatabase:
        throw new JournalError('journal-corrupt', corruptWords(path), { cause })
      default: {
        const words = `the journal ${path} cannot be written (${cause.message}); make room on its disk`
        throw new JournalError('journal-unwritable', words, { cause })
      }
    }
  }
}

const corruptWords = (path: string): string =>
  `the journal ${path} is damaged; stop the agent and move journal.sqlite* away to begin with an empty one: containers stay as they are, releases before it cannot be made again for a revert`

/** @returns the version of the tables, 0 for none */
const demandVersion = (db: DatabaseSync, path: string): number => {
  const version = Number(db.prepare('pragma user_version').get()?.['user_version'])
  if (version > journalVersion)
    throw new JournalError(
      'journal-newer',
      `the journal ${path} has version ${version}; this agent knows ${journalVersion}: install the newer agent again`
    )
  return version
}

const createTables = (db: DatabaseSync, path: string): void => {
  const version = demandVersion(db, path)
  db.exec(addedTables)
  if (version === journalVersion) return
  transact(db, () => {
    db.exec(journalTables)
    db.exec("insert into meta (key, value) values ('reports', '0'), ('acknowledged', '0')")
    db.exec(`pragma user_version = ${journalVersion}`)
  })
}

const transact = <T>(db: DatabaseSync, work: () => T): T => {
  db.exec('begin immediate')
  try {
    const result = work()
    db.exec('commit')
    return result
  } catch (error) {
    // a full disk has rolled back already
    if (db.isTransaction) db.exec('rollback')
    throw error
  }
}

type Row = Record<string, unknown>

const text = (row: Row, column: string): string => {
  const value = row[column]
  if (typeof value !== 'string') throw new JournalError('journal-corrupt', `column ${column} holds no text`)
  return value
}

const readNumber = (row: Row | undefined): number => (row === undefined ? 0 : Number(text(row, 'value')))

const readCommand = (json: string): Command => commandSchema.parse(JSON.parse(json))

const readReport = (json: unknown): RunReport | null =>
  typeof json === 'string' ? runReport.parse(JSON.parse(json)) : null

const readMark = (row: Row): ServiceMark =>
  serviceMark.parse({
    environment: row['environment'],
    service: row['service'],
    fence: JSON.parse(text(row, 'fence')),
    release: row['release']
  })
