// Containers as a host tells of them.
import type { InventoryContainer } from '@longshore/protocol'

export const containerOf = (
  release: number,
  change: Partial<InventoryContainer> = {}
): InventoryContainer => ({
  id: `${release}`.repeat(12).slice(0, 12),
  name: `api-r${release}-0`,
  environment: 'staging' as InventoryContainer['environment'],
  service: 'api' as InventoryContainer['service'],
  release,
  index: 0,
  deployment: null,
  state: 'running',
  health: 'healthy',
  restartCount: 0,
  startedAtMs: null,
  exitCode: null,
  image: 'api',
  isKept: false,
  specHash: '',
  role: 'serving',
  changes: [],
  ...change
})
