// The table of webhooks: whom they tell of what, and whether it arrives. Pure.
import type { WebhookView } from '../api/schemas.ts'
import { formatAge, shorten } from './format-values.ts'
import { renderTable } from './render-table.ts'
import { type Colors, paintColumn } from './state-colors.ts'

/** What a receiver answered may be a whole page; the rest is in `--output json`. */
const maxDetailChars = 80

export function renderWebhooks(webhooks: readonly WebhookView[], colors: Colors, nowMs: number): string {
  if (webhooks.length === 0)
    return 'no webhooks; make one with: longshore webhooks create --name NAME --to URL\n'
  const rows = webhooks.map((webhook) => [
    webhook.name,
    webhook.format,
    webhook.target,
    webhook.environments.join(',') || 'all',
    webhook.events.join(',') || 'all',
    webhook.state,
    String(webhook.waiting),
    String(webhook.givenUp),
    lastTryOf(webhook, nowMs)
  ])
  const head = ['NAME', 'FORMAT', 'TO', 'ENVIRONMENTS', 'EVENTS', 'STATE', 'WAITING', 'GIVEN UP', 'LAST TRY']
  return renderTable(head, rows, paintColumn(colors, 5))
}

function lastTryOf({ state, reason, lastTry }: WebhookView, nowMs: number): string {
  if (state === 'disabled' && reason !== null) return reason
  if (lastTry === null) return '-'
  const said = lastTry.isDelivered ? 'delivered' : `failed: ${shorten(lastTry.detail, maxDetailChars)}`
  return `${said}, ${formatAge(lastTry.atMs, nowMs)}`
}
