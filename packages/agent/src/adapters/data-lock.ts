// Keeps a second agent off the data directory. The lock is SQLite's own on an empty database file: the kernel
// drops it with the process, however that ends, so it is never stale and says nothing about process ids, which
// mean little between containers.
import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { AgentExit } from '../exit-codes.ts'

export const lockFileName = 'agent.lock'

/** SQLITE_BUSY, https://www.sqlite.org/rescode.html#busy */
const busy = 5
/** An agent that is just stopping is waited for. */
const waitMs = 2_000

/** @returns the release. @throws AgentExit `locked` or `data-directory` */
export const lockDataDir = (dir: string): (() => void) => {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(join(dir, lockFileName))
    chmodSync(join(dir, lockFileName), 0o600)
    database.exec(`PRAGMA busy_timeout = ${waitMs}; BEGIN EXCLUSIVE`)
  } catch (cause) {
    database?.close()
    const isBusy = cause instanceof Error && 'errcode' in cause && cause.errcode === busy
    if (isBusy) throw new AgentExit('locked', `${dir}: another agent uses this data directory`, { cause })
    throw new AgentExit('data-directory', `${dir}: cannot be locked: ${String(cause)}`, { cause })
  }
  const held = database
  return () => held.close()
}
