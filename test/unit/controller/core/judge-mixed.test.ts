// Which services may be mixed, by what runs, and which are.
import type { Inventory, InventoryContainer } from '@longshore/protocol'
import t from 'tap'
import { isMixed, servicesOfSeveral } from '../../../../packages/controller/src/core/targets/judge-mixed.ts'
import { containerOf } from './inventory-scenes.ts'

const host = (...containers: InventoryContainer[]): Inventory => ({
  isEngineReachable: true,
  containers,
  diskFreeBytes: null,
  diskTotalBytes: null,
  load: null,
  memoryFreeBytes: null
})
const several = (...hosts: Inventory[]): string[] => servicesOfSeveral(hosts, 'staging')

t.test('a service may be mixed that serves from several releases, on one host or on several', async (t) => {
  t.same(several(host(containerOf(1)), host(containerOf(2))), ['api'])
  t.same(several(host(containerOf(1), containerOf(2))), ['api'])
  t.same(several(host(containerOf(2)), host(containerOf(2)), host()), [])
  const other = containerOf(3, { service: 'web' as InventoryContainer['service'] })
  t.same(several(host(containerOf(1), other), host(containerOf(1), other)), [], 'each of its own')
})

t.test('what does not serve makes no fleet mixed', async (t) => {
  const beside: Partial<InventoryContainer>[] = [
    { isKept: true },
    { state: 'exited' },
    { state: 'created' },
    { role: 'rehearsal' },
    { role: 'once' },
    { environment: 'production' as InventoryContainer['environment'] }
  ]
  for (const change of beside)
    t.same(several(host(containerOf(2), containerOf(1, change))), [], JSON.stringify(change))
})

t.test('a fleet is mixed where a host differs by its release', async (t) => {
  for (const driftKind of ['stale', 'extra', 'unknown'] as const)
    t.ok(isMixed([{}, { driftKind }]), driftKind)
  for (const driftKind of ['missing', 'changed', 'crash-looping'] as const)
    t.notOk(isMixed([{ driftKind }]), driftKind)
  t.notOk(isMixed([{}, {}]), 'one release by two numbers')
})
