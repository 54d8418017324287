// Specs behind the writer, on a real store in memory.
import type { EnvironmentName, ServiceName } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { createSpecs } from '../../../../packages/controller/src/engine/specs.ts'
import { createWriter } from '../../../../packages/controller/src/engine/writer.ts'
import { sampleSpec } from '../../../support/run-samples.ts'
import { HandClock, jenkins } from './engine-scene.ts'

t.test('the audit of an apply names the spec without its values', async (t) => {
  const store = await openStore({ path: ':memory:' })
  t.teardown(() => store.close())
  const clock = new HandClock()
  await store.transaction((tx) =>
    tx.insertEnvironment({ name: 'staging' as EnvironmentName, createdAtMs: 1 })
  )
  const specs = createSpecs({ store, writer: createWriter({ store, clock }), clock })
  const at = { environment: 'staging' as EnvironmentName, service: 'web' as ServiceName }
  await specs.apply(jenkins, at, sampleSpec({ environment: { PASSWORD: 'hunter2' } }), false)
  const [row] = await store.audit({ limit: 1 })
  t.match(row, { action: 'spec.apply', subject: 'staging/web', outcome: 'ok', actorName: 'jenkins' })
  t.match(row?.request, { specHash: /^[0-9a-f]{64}$/ })
  t.notMatch(JSON.stringify(row), /hunter2/)
})

t.test('a spec whose order and routing do not fit each other is refused', async (t) => {
  const store = await openStore({ path: ':memory:' })
  t.teardown(() => store.close())
  const clock = new HandClock()
  await store.transaction((tx) =>
    tx.insertEnvironment({ name: 'staging' as EnvironmentName, createdAtMs: 1 })
  )
  const specs = createSpecs({ store, writer: createWriter({ store, clock }), clock })
  const at = { environment: 'staging' as EnvironmentName, service: 'web' as ServiceName }
  const { update } = sampleSpec()
  const half = sampleSpec({ update: { ...update, order: 'start-first' } })
  await t.rejects(specs.apply(jenkins, at, half, false), { code: 'invalid-request', message: /routing/ })
})
