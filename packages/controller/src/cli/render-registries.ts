// The table of registries that hosts log in to. Pure.
import type { RegistryView } from '../api/schemas.ts'
import { formatAge } from './format-values.ts'
import { renderTable } from './render-table.ts'

export function renderRegistries(registries: readonly RegistryView[], nowMs: number): string {
  if (registries.length === 0)
    return 'no credentials of registries; add some with: longshore registry login HOST --username NAME --password-stdin\n'
  const rows = registries.map(({ host, username, helper, setAtMs, setBy }) => [
    host,
    username ?? '-',
    helper ?? '-',
    formatAge(setAtMs, nowMs),
    setBy
  ])
  return renderTable(['REGISTRY', 'USER', 'HELPER', 'SET', 'BY'], rows)
}
