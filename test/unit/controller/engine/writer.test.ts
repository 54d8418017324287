// The writer: one change at a time, each audited, refused ones too.
import { chainStart, hashAuditEntry, ProtocolError } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../../../packages/controller/src/adapters/sql/open-store.ts'
import { ApiError } from '../../../../packages/controller/src/api/errors.ts'
import { createSupervisorLink } from '../../../../packages/controller/src/engine/tell-supervisor.ts'
import { createWriter } from '../../../../packages/controller/src/engine/writer.ts'
import type { EnvironmentRow } from '../../../../packages/controller/src/ports.ts'
import { HandClock, jenkins } from './engine-scene.ts'

const note = {
  actor: jenkins,
  action: 'environment.create',
  subject: 'staging',
  request: { name: 'staging' }
}
const row = { name: 'staging', createdAtMs: 1 } as EnvironmentRow

t.test(
  'runs changes in the order in which they were asked for, each after what followed from the one before',
  async (t) => {
    const store = await openStore({ path: ':memory:' })
    const writer = createWriter({ store, clock: new HandClock() })
    const course: string[] = []
    const one = (name: string) =>
      writer.step(
        async (tx) => {
          course.push(`${name} works`)
          await tx.environments()
        },
        () => course.push(`${name} committed`)
      )
    await Promise.all([one('first'), one('second')])
    t.same(course, ['first works', 'first committed', 'second works', 'second committed'])
    await store.close()
  }
)

t.test('writes the audit row with the change', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const clock = new HandClock()
  const writer = createWriter({ store, clock })
  await writer.change(note, (tx) => tx.insertEnvironment(row))
  const { actor, ...rest } = note
  const whole = {
    ...rest,
    atMs: clock.nowMs(),
    actorKind: actor.kind,
    actorId: actor.id,
    actorName: 'jenkins'
  }
  const entry = { ...whole, number: 1, address: '10.0.0.9', outcome: 'ok', evidence: null }
  t.same(await store.audit({ limit: 10 }), [{ ...entry, hash: await hashAuditEntry(chainStart, entry) }])
  await store.close()
})

t.test('keeps nothing of a refused change but its audit row, and goes on', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const writer = createWriter({ store, clock: new HandClock() })
  const refused = writer.change(note, async (tx) => {
    await tx.insertEnvironment(row)
    throw new ApiError('in-use', 'no')
  })
  const broken = writer.change(note, async () => {
    throw new TypeError('a fault')
  })
  await t.rejects(refused, { code: 'in-use' })
  await t.rejects(broken, TypeError)
  t.same(await store.environments(), [])
  t.same(
    (await store.audit({ limit: 10 })).map(({ outcome }) => outcome),
    ['internal', 'in-use']
  )
  await writer.change(note, (tx) => tx.insertEnvironment(row))
  t.equal((await store.environments()).length, 1)
  await store.close()
})

t.test('records a refusal that came before any change, by its code and once', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const writer = createWriter({ store, clock: new HandClock() })
  const forbidden = new ApiError('forbidden', 'no')
  await writer.refused(note, forbidden)
  await writer.refused(note, forbidden)
  const inside = new ProtocolError('expired')
  const failing = writer.change(note, () => Promise.reject(inside))
  await t.rejects(failing, { code: 'expired' })
  await writer.refused(note, inside)
  t.same(
    (await store.audit({ limit: 10 })).map(({ outcome }) => outcome),
    ['expired', 'forbidden']
  )
  await store.close()
})

t.test(
  'a supervisor gets signs of life while changes come to an end, and none while one hangs',
  async (t) => {
    const store = await openStore({ path: ':memory:' })
    const clock = new HandClock()
    const writer = createWriter({ store, clock })
    const warnings: string[] = []
    const log = {
      debug() {},
      info() {},
      warn: (_: object, text: string) => void warnings.push(text),
      error() {}
    }
    const told: string[] = []
    const awaited: { line: string; resolve: () => void }[] = []
    const send = async (lines: readonly string[]): Promise<void> => {
      told.push(...lines)
      for (const { line, resolve } of awaited) if (lines.includes(line)) resolve()
    }
    const heard = (line: string): Promise<void> => new Promise((resolve) => awaited.push({ line, resolve }))
    const link = createSupervisorLink({ send, signEveryMs: 30_000 }, { steadyClock: clock, log })
    link.ready('https://h:7300', writer)
    t.same(told, ['READY=1', 'STATUS=listening on https://h:7300; 0 hosts connected'])
    const sign = heard('WATCHDOG=1')
    clock.move(30_000)
    await sign
    const hanging = Promise.withResolvers<void>()
    const change = writer.step(() => hanging.promise)
    for (const _ of [1, 2, 3]) {
      clock.move(30_000)
      await new Promise(setImmediate)
    }
    t.equal(warnings.length, 2, 'it is noticed when the next sign is due')
    t.equal(told.filter((line) => line === 'WATCHDOG=1').length, 1)
    hanging.resolve()
    await change
    const connected = heard('STATUS=listening on https://h:7300; 1 host connected')
    link.connectedChanged(1)
    clock.move(30_000)
    await connected
    link.stopping('stopping')
    await store.close()
  }
)
