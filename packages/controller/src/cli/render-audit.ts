// The audit as a table, and what its check found. Pure.
import type { AuditCheck } from '@longshore/protocol'
import type { AuditView } from '../api/schemas.ts'
import { formatText, formatTime } from './format-values.ts'
import { renderTable } from './render-table.ts'

export function renderAudit(entries: readonly AuditView[]): string {
  if (entries.length === 0) return 'nothing in the audit fits\n'
  const rows = entries.map(({ number, atMs, actorName, address, action, subject, outcome }) => [
    String(number),
    formatTime(atMs),
    actorName,
    address === '' ? '-' : address,
    action,
    subject,
    outcome
  ])
  return renderTable(['ENTRY', 'TIME', 'WHO', 'FROM', 'ACTION', 'SUBJECT', 'OUTCOME'], rows)
}

export function renderAuditCheck({ entries, receipts, head, findings }: AuditCheck): string {
  const read = `${entries} entries, ${receipts} receipts of agents`
  const end = `head ${head.number}:${head.hash}`
  if (findings.length === 0) return `${read}: nothing was changed\n${end}\n`
  const lines = findings.map(({ code, detail }) => `${code}: ${formatText(detail)}\n`)
  return `${lines.join('')}${read}: ${findings.length} findings\n${end}\n`
}
