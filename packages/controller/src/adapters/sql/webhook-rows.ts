// Webhooks, what they are owed, and which hosts were told to be lost: read and written.
import type { Kysely } from 'kysely'
import type { NotificationRow, Reads, Writes } from '../../ports.ts'
import { defaultLimit, many, one } from './run-query.ts'
import { lostHostCodec, notificationCodec, type Tables, webhookCodec } from './tables.ts'

export const webhookReads = (db: Kysely<Tables>) =>
  ({
    webhooks: () => many(webhookCodec, db.selectFrom('webhooks').selectAll().orderBy('name')),
    webhook: (id) => one(webhookCodec, db.selectFrom('webhooks').selectAll().where('id', '=', id)),
    notifications: ({ webhook, state, limit }) => {
      let query = db.selectFrom('notifications').selectAll()
      if (webhook !== undefined) query = query.where('webhook', '=', webhook)
      if (state !== undefined) query = query.where('state', '=', state)
      const dueFirst = query.orderBy('nextAtMs').orderBy('createdAtMs').orderBy('id')
      return many(notificationCodec, dueFirst.limit(limit ?? defaultLimit))
    },
    notification: (id) =>
      one(notificationCodec, db.selectFrom('notifications').selectAll().where('id', '=', id)),
    countNotifications: async () => {
      const query = db
        .selectFrom('notifications')
        .select(['webhook', 'state', ({ fn }) => fn.countAll().as('count')])
      const rows = await query.groupBy(['webhook', 'state']).execute()
      return rows.map(({ webhook, state, count }) => ({
        webhook,
        state: state as NotificationRow['state'],
        count: Number(count)
      }))
    },
    lostHosts: () => many(lostHostCodec, db.selectFrom('lost_hosts').selectAll().orderBy('host'))
  }) satisfies Partial<Reads>

export const webhookWrites = (db: Kysely<Tables>) =>
  ({
    putWebhook: async (row) => {
      const values = webhookCodec.encode(row)
      await db
        .insertInto('webhooks')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    },
    deleteWebhook: async (id) => {
      await db.deleteFrom('notifications').where('webhook', '=', id).execute()
      await db.deleteFrom('webhooks').where('id', '=', id).execute()
    },
    putNotification: async (row) => {
      const values = notificationCodec.encode(row)
      await db
        .insertInto('notifications')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    },
    deleteNotification: async (id) => {
      await db.deleteFrom('notifications').where('id', '=', id).execute()
    },
    pruneNotifications: async (beforeMs) => {
      const query = db.deleteFrom('notifications').where('state', '=', 'given-up')
      await query.where('nextAtMs', '<', beforeMs).execute()
    },
    putLostHost: async (row) => {
      const values = lostHostCodec.encode(row)
      await db
        .insertInto('lost_hosts')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'host']).doUpdateSet(values))
        .execute()
    },
    deleteLostHost: async (environment, host) => {
      await db
        .deleteFrom('lost_hosts')
        .where('environment', '=', environment)
        .where('host', '=', host)
        .execute()
    }
  }) satisfies Partial<Writes>
