// The audit: appended as a chain of hashes, read by filters. Nothing here changes or removes an entry.
import { createHash } from 'node:crypto'
import { type AuditEntry, auditContent, chainStart } from '@longshore/protocol'
import { type Kysely, sql } from 'kysely'
import type { AuditRow, Reads, Writes } from '../../ports.ts'
import { many } from './run-query.ts'
import { auditCodec, type Tables } from './tables.ts'

type Column = 'actorId' | 'actorName' | 'action' | 'subject' | 'outcome'

/** The whole word, or its beginning where the filter ends in `*`. */
const fits = (column: Column, word: string) => {
  if (!word.endsWith('*')) return sql<boolean>`${sql.ref(column)} = ${word}`
  const beginning = word.slice(0, -1)
  return sql<boolean>`substr(${sql.ref(column)}, 1, ${beginning.length}) = ${beginning}`
}

export const auditReads = (db: Kysely<Tables>) =>
  ({
    audit: ({ limit, after, before, who, sinceMs, untilMs, ...words }) => {
      let query = db.selectFrom('audit').selectAll().limit(limit)
      if (after !== undefined) query = query.where('number', '>', after)
      if (before !== undefined) query = query.where('number', '<', before)
      if (sinceMs !== undefined) query = query.where('atMs', '>=', sinceMs)
      if (untilMs !== undefined) query = query.where('atMs', '<', untilMs)
      if (who !== undefined)
        query = query.where(({ or }) => or([fits('actorName', who), fits('actorId', who)]))
      for (const column of ['action', 'subject', 'outcome'] as const) {
        const word = words[column]
        if (word !== undefined) query = query.where(fits(column, word))
      }
      return many(auditCodec, query.orderBy('number', after === undefined ? 'desc' : 'asc'))
    }
  }) satisfies Partial<Reads>

export const auditWrites = (db: Kysely<Tables>) =>
  ({
    appendAudit: async (row) => {
      const last = await db
        .selectFrom('audit')
        .select(['number', 'hash'])
        .orderBy('number', 'desc')
        .limit(1)
        .executeTakeFirst()
      const entry = chained(row, last)
      await db.insertInto('audit').values(auditCodec.encode(entry)).execute()
    }
  }) satisfies Partial<Writes>

const chained = (row: AuditRow, last: Pick<AuditEntry, 'number' | 'hash'> | undefined): AuditEntry => {
  const entry = { ...row, number: (last?.number ?? 0) + 1 }
  return { ...entry, hash: hashOf(last?.hash ?? chainStart, entry) }
}

/** At once: a transaction waits for nothing but the database. */
const hashOf = (previous: string, entry: Omit<AuditEntry, 'hash'>): string =>
  createHash('sha256').update(auditContent(previous, entry)).digest('base64url')

/** Entries of schemas before the chain get their hashes in the order in which they were written. */
export const chainFormerEntries = async (db: Kysely<Tables>): Promise<void> => {
  let hash = chainStart
  let after = 0
  for (;;) {
    const rows = await auditReads(db).audit({ limit: 1000, after })
    for (const { hash: _, ...entry } of rows) {
      hash = hashOf(hash, entry)
      after = entry.number
      await db.updateTable('audit').set({ hash }).where('number', '=', after).execute()
    }
    if (rows.length === 0) return
  }
}
