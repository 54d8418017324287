// Sends what webhooks are owed: each webhook in a line of its own, one notification at a time, what is due first
// first, again with growing waits. What is owed is in the store; here are only the timers.
import type { NotificationId, WebhookId } from '@longshore/protocol'
import type { Notice } from '../api/schemas.ts'
import { isDue, judgeTry, resultOf } from '../core/notifications/retry.ts'
import { tellSlack } from '../core/notifications/tell-slack.ts'
import type {
  Actor,
  Clock,
  Delivery,
  Log,
  NotificationRow,
  Sealer,
  Store,
  Tx,
  WebhookRow,
  WebhookSender
} from '../ports.ts'
import { oneAtATime, type Repeated } from './one-at-a-time.ts'
import { giveUp } from './owe-notices.ts'
import { auditRow, retryMs, type Writer } from './writer.ts'

export type Notifications = {
  /** Something may be owed: at the start, and after every commit that owes something. */
  wake(): void
  /** One try at once, beside the line; nothing is stored. */
  send(webhook: WebhookRow, message: { id: NotificationId; notice: Notice }): Promise<Delivery>
  /** Breaks off what is being sent, which is sent again after the next start. No timer is left. */
  stop(): Promise<void>
}

export type NotificationsPorts = {
  store: Store
  writer: Writer
  clock: Clock
  /** Never jumps: waits are lengths of time. */
  steadyClock: Clock
  sealer: Sealer
  sender: WebhookSender
  /** Only the owner of the lease tells. */
  lease: { isHeld(): Promise<boolean> }
  log: Log
}

/** How long `webhooks list` counts what was given up. */
const keepGivenUpMs = 7 * 86_400_000

type Line = { sending: Repeated; cancelTimer: () => void }

export const createNotifications = (ports: NotificationsPorts): Notifications => {
  const { store, clock, steadyClock, lease, log } = ports
  const lines = new Map<WebhookId, Line>()
  const stopping = new AbortController()
  /** Tries whose result the store did not take: told again, not sent again. */
  const unrecorded = new Map<NotificationId, Delivery>()
  let cancelLook = (): void => {}

  const send: Notifications['send'] = (webhook, message) => sendOnce(ports, webhook, message, stopping.signal)
  const later = (waitMs: number, wake: () => void): (() => void) =>
    stopping.signal.aborted ? () => {} : steadyClock.at(steadyClock.nowMs() + waitMs, wake)

  const sendDue = async (id: WebhookId, line: Line): Promise<void> => {
    for (;;) {
      const webhook = await store.webhook(id)
      if (webhook?.state !== 'active') return void lines.delete(id)
      const [next] = await store.notifications({ webhook: id, state: 'waiting', limit: 1 })
      if (next === undefined || stopping.signal.aborted || !(await lease.isHeld())) return
      const nowMs = clock.nowMs()
      if (!isDue(next.nextAtMs, nowMs)) {
        line.cancelTimer = later(next.nextAtMs - nowMs, line.sending.ask)
        return
      }
      const delivery = unrecorded.get(next.id) ?? (await send(webhook, next))
      if (stopping.signal.aborted) return
      unrecorded.set(next.id, delivery)
      await record(ports, next, delivery)
      unrecorded.delete(next.id)
    }
  }
  const lineOf = (id: WebhookId): Line => {
    const known = lines.get(id)
    if (known !== undefined) return known
    const line: Line = {
      sending: oneAtATime(async () => {
        line.cancelTimer()
        await sendDue(id, line).catch((error: unknown) => {
          log.error({ webhook: id, err: error }, 'notifications wait: the store failed')
          line.cancelTimer = later(retryMs, line.sending.ask)
        })
      }),
      cancelTimer: () => {}
    }
    lines.set(id, line)
    return line
  }
  const look = oneAtATime(async () => {
    cancelLook()
    try {
      if (stopping.signal.aborted) return
      for (const { id, state } of await store.webhooks()) if (state === 'active') lineOf(id).sending.ask()
    } catch (error) {
      log.error({ err: error }, 'webhooks cannot be read; tried again')
      cancelLook = later(retryMs, look.ask)
    }
  })
  return {
    wake: look.ask,
    send,
    stop: async () => {
      stopping.abort()
      await look.idle()
      cancelLook()
      await Promise.all([...lines.values()].map(({ sending }) => sending.idle()))
      for (const { cancelTimer } of lines.values()) cancelTimer()
    }
  }
}

const sendOnce = async (
  { sealer, sender, clock }: NotificationsPorts,
  webhook: WebhookRow,
  { id, notice }: { id: NotificationId; notice: Notice },
  signal: AbortSignal
): Promise<Delivery> => {
  const to = await openTarget(sealer, webhook)
  if (to === undefined) {
    return { status: null, detail: 'its URL and secret cannot be read: remove it and make it again' }
  }
  const body = JSON.stringify(webhook.format === 'slack' ? tellSlack(notice) : notice)
  return sender.send(to, { id, atMs: clock.nowMs(), body }, signal)
}

/** What a webhook keeps sealed. */
export type Target = { url: string; secret: string | null }

/** @returns undefined: sealed with a key that is not there any more */
const openTarget = async (sealer: Sealer, { sealed }: WebhookRow): Promise<Target | undefined> => {
  try {
    return JSON.parse(await sealer.open(sealed)) as Target
  } catch {
    // the cause may quote what it could not read
    return undefined
  }
}

const controller: Actor = { kind: 'controller', id: 'notifications', name: 'controller', address: '' }

/** What a try means for the notification, and what is shown of the webhook. */
const record = async (
  { writer, clock, log }: NotificationsPorts,
  sent: NotificationRow,
  delivery: Delivery
): Promise<void> => {
  const nowMs = clock.nowMs()
  const verdict = await writer.step(async (tx) => {
    const [webhook, row] = [await tx.webhook(sent.webhook), await tx.notification(sent.id)]
    if (webhook === undefined || row === undefined) return undefined
    const judged = judgeTry(resultOf(delivery.status), row.tries, nowMs)
    const lastTry = { atMs: nowMs, isDelivered: judged.kind === 'delivered', detail: delivery.detail }
    await tx.putWebhook({ ...webhook, lastTry })
    const lastError = delivery.detail
    if (judged.kind === 'delivered') await tx.deleteNotification(row.id)
    else if (judged.kind === 'gone') await disable(tx, { ...webhook, lastTry }, nowMs)
    else if (judged.kind === 'again') await tx.putNotification({ ...row, ...again(judged), lastError })
    else await giveUp(tx, { ...row, tries: judged.tries }, lastError, nowMs)
    await tx.pruneNotifications(nowMs - keepGivenUpMs)
    return judged
  })
  const fields = {
    webhook: sent.webhook,
    notification: sent.id,
    type: sent.notice.type,
    detail: delivery.detail
  }
  if (verdict?.kind === 'gone') log.warn(fields, 'a webhook is disabled: its receiver is gone')
  if (verdict?.kind === 'given-up') log.warn(fields, 'a notification is given up')
  if (verdict?.kind === 'again' && verdict.tries === 1)
    log.warn(fields, 'a notification was not taken; tried again')
}

const again = ({ tries, nextAtMs }: { tries: number; nextAtMs: number }) => ({ tries, nextAtMs })

/** The receiver answered 410: it wants nothing more. */
const disable = async (tx: Tx, webhook: WebhookRow, nowMs: number): Promise<void> => {
  const reason = 'its receiver answered 410 (gone)'
  await tx.putWebhook({ ...webhook, state: 'disabled', reason })
  for (const row of await tx.notifications({ webhook: webhook.id, state: 'waiting' })) {
    await giveUp(tx, row, reason, nowMs)
  }
  const note = { actor: controller, action: 'webhook.disable', subject: webhook.id, request: { reason } }
  await tx.appendAudit(auditRow(note, 'ok', nowMs))
}
