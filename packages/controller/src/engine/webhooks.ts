// Webhooks: made with a signing secret that is shown once, listed without it, tested, removed. When they are told
// what is left to owe-notices.ts and notifications.ts.
import { formatId, type WebhookId } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { CreatedWebhook, CreateWebhook, Notice, TestedWebhook, WebhookView } from '../api/schemas.ts'
import { resultOf } from '../core/notifications/retry.ts'
import { formatSecret, secretBytes } from '../core/notifications/sign-input.ts'
import { refusalOfUrl, shownTarget } from '../core/notifications/target.ts'
import type { Actor, Clock, Random, Reads, Sealer, Store, WebhookRow } from '../ports.ts'
import type { Notifications, Target } from './notifications.ts'
import { newNotificationId } from './owe-notices.ts'
import { requireEnvironment } from './require-named.ts'
import type { Writer } from './writer.ts'

/** Every notice is written once for each; more is a mistake. */
const maxWebhooks = 100

export type Webhooks = {
  /** @throws ApiError `invalid-request` (its URL), `unknown-environment`, `already-exists`, `wrong-state` (too many) */
  create(actor: Actor, wish: CreateWebhook): Promise<CreatedWebhook>
  list(): Promise<WebhookView[]>
  /** @param isVisible who asks may manage it. @throws ApiError `unknown-webhook`, with those that are visible */
  find(nameOrId: string, isVisible: (one: WebhookView) => boolean): Promise<WebhookView>
  /** Also what it is still owed. */
  remove(actor: Actor, id: WebhookId): Promise<void>
  /** Sends `webhook.test` at once; a disabled webhook that takes it is active again. @throws ApiError `webhook-failed` */
  test(actor: Actor, id: WebhookId): Promise<TestedWebhook>
}

export type WebhooksPorts = {
  store: Store
  writer: Writer
  clock: Clock
  random: Random
  sealer: Sealer
  notifications: Pick<Notifications, 'send'>
  /** Receivers may be reached over plain http, whatever their address. */
  allowPlaintext: boolean
}

export const createWebhooks = (ports: WebhooksPorts): Webhooks => {
  const { store, writer } = ports
  return {
    create: (actor, wish) => create(ports, actor, wish),
    list: () => listWebhooks(store),
    find: async (nameOrId, isVisible) => {
      const visible = (await listWebhooks(store)).filter(isVisible)
      const found = visible.find(({ id, name }) => id === nameOrId || name === nameOrId)
      if (found !== undefined) return found
      const known = visible.map(({ name }) => name)
      throw new ApiError('unknown-webhook', `there is no webhook ${nameOrId}`, { known })
    },
    remove: (actor, id) => {
      const note = { actor, action: 'webhook.remove', subject: id, request: {} }
      return writer.change(note, async (tx) => {
        await requireWebhook(tx, id)
        await tx.deleteWebhook(id)
      })
    },
    test: (actor, id) => test(ports, actor, id)
  }
}

const create = async (ports: WebhooksPorts, actor: Actor, wish: CreateWebhook): Promise<CreatedWebhook> => {
  const { clock, random, sealer, writer, allowPlaintext } = ports
  const url = new URL(wish.url)
  const refusal = refusalOfUrl(url, allowPlaintext)
  if (refusal !== undefined) throw new ApiError('invalid-request', `the URL of a webhook: ${refusal}`)
  const { name, format, environments, events } = wish
  const id = formatId<WebhookId>('whk', random.bytes(13))
  const isSigned = format === 'standard'
  const secret = isSigned ? formatSecret(Buffer.from(random.bytes(secretBytes)).toString('base64')) : null
  const target: Target = { url: url.href, secret }
  const row: WebhookRow = {
    id,
    name,
    format,
    target: shownTarget(url),
    sealed: await sealer.seal(JSON.stringify(target)),
    environments,
    events,
    state: 'active',
    reason: null,
    createdAtMs: clock.nowMs(),
    createdBy: actor.name,
    lastTry: null
  }
  const request = { name, format, environments, events, target: row.target }
  await writer.change({ actor, action: 'webhook.create', subject: id, request }, async (tx) => {
    for (const environment of environments) await requireEnvironment(tx, environment)
    const others = await tx.webhooks()
    if (others.some((one) => one.name === name)) {
      throw new ApiError('already-exists', `the webhook ${name} exists`)
    }
    if (others.length >= maxWebhooks)
      throw new ApiError('wrong-state', `there are ${maxWebhooks} webhooks already`)
    await tx.putWebhook(row)
  })
  return { id, name, secret }
}

const test = async (ports: WebhooksPorts, actor: Actor, id: WebhookId): Promise<TestedWebhook> => {
  const { store, writer, clock, random, notifications } = ports
  const webhook = await requireWebhook(store, id)
  const { name } = webhook
  const timestamp = new Date(clock.nowMs()).toISOString()
  const notice: Notice = {
    type: 'webhook.test',
    timestamp,
    data: { webhook: id, name, requestedBy: actor.name }
  }
  const { status, detail } = await notifications.send(webhook, { id: newNotificationId(random), notice })
  const isDelivered = resultOf(status) === 'delivered'
  const note = { actor, action: 'webhook.test', subject: id, request: { isDelivered } }
  await writer.change(note, async (tx) => {
    const row = await requireWebhook(tx, id)
    const revived = isDelivered ? { state: 'active' as const, reason: null } : {}
    await tx.putWebhook({ ...row, ...revived, lastTry: { atMs: clock.nowMs(), isDelivered, detail } })
  })
  if (!isDelivered) throw new ApiError('webhook-failed', `${name} at ${webhook.target}: ${detail}`)
  return { id, name, detail }
}

const requireWebhook = async (reads: Pick<Reads, 'webhook'>, id: string): Promise<WebhookRow> => {
  const row = await reads.webhook(id)
  if (row === undefined) throw new ApiError('unknown-webhook', `there is no webhook ${id}`)
  return row
}

const listWebhooks = async (store: Store): Promise<WebhookView[]> => {
  const counts = await store.countNotifications()
  const countOf = (id: WebhookId, state: 'waiting' | 'given-up'): number =>
    counts.find((one) => one.webhook === id && one.state === state)?.count ?? 0
  return (await store.webhooks()).map(({ sealed: _, ...row }) => ({
    ...row,
    waiting: countOf(row.id, 'waiting'),
    givenUp: countOf(row.id, 'given-up')
  }))
}
