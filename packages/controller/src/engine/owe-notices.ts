// Notices become rows that each webhook concerned is owed, in the transaction of the change that they tell of: told
// if and only if it happened. Sending is left to notifications.ts, which watchOwed wakes after the commit.
import { formatId, type NotificationId } from '@longshore/protocol'
import type { Notice } from '../api/schemas.ts'
import { deploymentNotices, isWanted } from '../core/notifications/compose.ts'
import type { DeploymentRow, NotificationRow, Random, Store, Tx, WebhookRow } from '../ports.ts'
import { viewDeployment } from './view-deployment.ts'

/** For one webhook; beyond it the oldest is given up: a receiver that is away must not fill the disk. */
const maxWaiting = 1000
/** For one webhook; beyond it the longest given up is forgotten. */
const maxGivenUp = 1000

export const oweNotices = async (
  tx: Tx,
  random: Random,
  notices: readonly Notice[],
  atMs: number
): Promise<void> => {
  if (notices.length === 0) return
  for (const webhook of await tx.webhooks()) {
    const wanted = webhook.state === 'active' ? notices.filter((notice) => isWanted(webhook, notice)) : []
    for (const notice of wanted) {
      await makeRoom(tx, webhook, atMs)
      await tx.putNotification({
        id: newNotificationId(random),
        webhook: webhook.id,
        notice,
        tries: 0,
        nextAtMs: atMs,
        state: 'waiting',
        lastError: null,
        createdAtMs: atMs
      })
    }
  }
}

/** What one step of a deployment gives to tell: to be called in the step's own transaction. */
export const oweStep = async (
  tx: Tx,
  random: Random,
  { before, after }: { before: DeploymentRow | undefined; after: DeploymentRow },
  atMs: number
): Promise<void> => {
  if (before?.phase === after.phase) return
  const view = (row: DeploymentRow) => viewDeployment(row, () => undefined)
  await oweNotices(tx, random, deploymentNotices(before && view(before), view(after), atMs), atMs)
}

export const newNotificationId = (random: Random): NotificationId =>
  formatId<NotificationId>('msg', random.bytes(13))

const makeRoom = async (tx: Tx, webhook: WebhookRow, atMs: number): Promise<void> => {
  const counts = await tx.countNotifications()
  const count = counts.find((one) => one.webhook === webhook.id && one.state === 'waiting')?.count ?? 0
  if (count < maxWaiting) return
  const waiting = await tx.notifications({ webhook: webhook.id, state: 'waiting', limit: maxWaiting })
  const [oldest] = waiting.sort((a, b) => a.createdAtMs - b.createdAtMs)
  if (oldest === undefined) return
  const lastError = `${maxWaiting} newer ones were waiting`
  await giveUp(tx, oldest, lastError, atMs)
}

/** Kept for people to see, but not without bound. */
export const giveUp = async (
  tx: Tx,
  row: NotificationRow,
  lastError: string,
  atMs: number
): Promise<void> => {
  await tx.putNotification({ ...row, state: 'given-up', nextAtMs: atMs, lastError })
  const counts = await tx.countNotifications()
  const count = counts.find((one) => one.webhook === row.webhook && one.state === 'given-up')?.count ?? 0
  if (count <= maxGivenUp) return
  const limit = count - maxGivenUp
  for (const { id } of await tx.notifications({ webhook: row.webhook, state: 'given-up', limit }))
    await tx.deleteNotification(id)
}

/** `onOwed`: called after each commit that made or changed a notification; the listener must not throw. */
export type WatchedStore = { store: Store; onOwed(listener: () => void): void }

export const watchOwed = (store: Store): WatchedStore => {
  const listeners: (() => void)[] = []
  const transaction: Store['transaction'] = async (work) => {
    let isOwed = false
    const watched = (tx: Tx): Tx => ({
      ...tx,
      putNotification: (row) => {
        isOwed = true
        return tx.putNotification(row)
      }
    })
    const result = await store.transaction((tx) => work(watched(tx)))
    if (isOwed) for (const listener of listeners) listener()
    return result
  }
  return { store: { ...store, transaction }, onOwed: (listener) => void listeners.push(listener) }
}
