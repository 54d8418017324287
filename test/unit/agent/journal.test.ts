// The journal on disk: what it keeps, how it numbers reports, and which journals it refuses.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Digest, EnvironmentName, RunOutcome, ServiceName } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { openJournal } from '../../../packages/agent/src/adapters/journal.ts'
import { beginRun } from '../../../packages/agent/src/core/run-state.ts'
import type { Journal } from '../../../packages/agent/src/ports.ts'
import { releaseBody, sampleCommand, sampleDigest, sampleSpec } from '../../support/run-samples.ts'

const journalPath = (t: Test): string => {
  const folder = mkdtempSync(join(tmpdir(), 'longshore-journal-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return join(folder, 'journal.sqlite')
}

const removed: RunOutcome = {
  status: 'succeeded',
  result: { kind: 'remove' },
  serving: 'none',
  release: null
}

/** Takes and ends the command of this number; returns its report's number. */
const endOne = (journal: Journal, number: number): number => {
  const command = sampleCommand(number, { kind: 'remove', release: null })
  const state = beginRun({ command, specHash: '', minFreeBytes: 0, requests: [] })
  journal.begin(command, 'jws', state, 1)
  return journal.endRun(command.id, { ...state, phase: 'ended' }, removed, [], 2).number
}
const numbersIn = (journal: Journal): number[] => journal.unacknowledged().map((report) => report.number)

t.test('the journal keeps commands, numbers reports and never lowers a fence', async (t) => {
  const path = journalPath(t)
  const first = openJournal(path)
  const command = sampleCommand(7, releaseBody(3, sampleSpec()))
  const state = beginRun({ command, specHash: '', minFreeBytes: 0, requests: [] })
  first.begin(command, 'jws', state, 1)
  t.throws(() => first.begin(command, 'jws', state, 1), 'an id is taken once')
  first.close()

  const journal = openJournal(path)
  t.same(journal.openRuns(), [state])
  t.same(journal.marks(), [{ environment: 'production', service: 'web', fence: command.fence, release: 3 }])
  const report = journal.endRun(command.id, { ...state, phase: 'ended' }, removed, [], 2)
  t.equal(report.number, 1)
  t.same(journal.find(command.id), { command, report })
  t.same(journal.openRuns(), [])
  t.same(journal.unacknowledged(), [report])
  journal.prune({ beforeMs: 100, looksBeforeMs: 100 }, 99_000_000)
  t.ok(journal.find(command.id), 'a report that nobody has is not pruned')
  journal.acknowledge(1)
  journal.acknowledge(0)
  t.same(journal.unacknowledged(), [])
  journal.prune({ beforeMs: 100, looksBeforeMs: 100 }, 0)
  t.ok(journal.find(command.id), 'a command that could still be executed is not forgotten')
  journal.prune({ beforeMs: 100, looksBeforeMs: 100 }, 99_000_000)
  t.equal(journal.find(command.id), undefined)
  t.equal(journal.marks().length, 1, 'the fence stays')
  journal.close()
})

t.test('what only looks raises no fence, and a rehearsal no release number', async (t) => {
  const journal = openJournal(journalPath(t))
  t.teardown(() => journal.close())
  const begin = (number: number, body: unknown) => {
    const command = sampleCommand(number, body)
    journal.begin(command, 'jws', beginRun({ command, specHash: '', minFreeBytes: 0, requests: [] }), 1)
  }
  const release = releaseBody(4, sampleSpec()) as object
  begin(9, { ...release, kind: 'plan' })
  begin(8, { kind: 'resolve', image: { repository: 'web', tag: 'v1', digest: null } })
  t.same(journal.marks(), [])
  const { recreate: _, ...rehearsal } = { recreate: false, ...release }
  begin(3, { ...rehearsal, kind: 'rehearse' })
  t.match(journal.marks(), [{ fence: { generation: 3 }, release: null }])
  t.equal(journal.openRuns().length, 3)
})

t.test('what stands in the journal is for its owner alone', async (t) => {
  const path = journalPath(t)
  const journal = openJournal(path)
  t.teardown(() => journal.close())
  endOne(journal, 1)
  const folder = join(path, '..')
  for (const name of readdirSync(folder)) t.equal(statSync(join(folder, name)).mode & 0o077, 0, name)
})

t.test('a journal of a newer agent or with foreign content is refused with its code', async (t) => {
  const newer = journalPath(t)
  const db = new DatabaseSync(newer)
  db.exec('pragma user_version = 99')
  db.close()
  t.throws(() => openJournal(newer), { code: 'journal-newer' })
  const corrupt = journalPath(t)
  writeFileSync(corrupt, 'this is no database, but long enough to look like one'.repeat(50))
  t.throws(() => openJournal(corrupt), { code: 'journal-corrupt' })
})

t.test('however many releases fail, the record of the one that serves is kept', async (t) => {
  const journal = openJournal(journalPath(t))
  t.teardown(() => journal.close())
  const begin = (number: number, serving: number | null): void => {
    const command = sampleCommand(number, releaseBody(number, sampleSpec()))
    const { environment, service } = command
    const begun = beginRun({ command, specHash: '', minFreeBytes: 0, requests: [] })
    const before = { serving: serving === null ? ('none' as const) : ('old' as const), release: serving }
    journal.begin(command, 'jws', begun, number)
    journal.saveRun(
      command.id,
      { ...begun, before },
      {
        environment,
        service,
        release: number,
        containers: [],
        containerName: null,
        rule: { probe: null, timeoutMs: null },
        graceMs: 120_000,
        replaced: null
      }
    )
  }
  const kept = (): number[] =>
    journal.releases('production' as EnvironmentName, 'web' as ServiceName).map((one) => one.release)
  begin(1, null)
  for (let number = 2; number <= 9; number += 1) begin(number, 1)
  t.same(kept(), [9, 8, 7, 6, 5, 1])
  begin(10, 9)
  t.same(kept(), [10, 9, 8, 7, 6], 'it falls out once another one serves')
})

t.test('a lost journal does not give out numbers that the controller has already', async (t) => {
  const journal = openJournal(journalPath(t))
  journal.acknowledge(41)
  t.equal(endOne(journal, 1), 42)
  t.same(numbersIn(journal), [42], 'it waits for its acknowledgement')
  journal.close()
})

t.test('reports numbered before the controller told its higher number wait under new numbers', async (t) => {
  const path = journalPath(t)
  const journal = openJournal(path)
  endOne(journal, 1)
  journal.acknowledge(1)
  endOne(journal, 2)
  endOne(journal, 3)
  journal.acknowledge(3 + 5)
  t.same(numbersIn(journal), [9, 10], 'no journal that gave out 3 numbers was acknowledged 8')
  t.equal(endOne(journal, 4), 11)
  journal.acknowledge(9)
  t.same(numbersIn(journal), [10, 11])
  journal.close()
  const again = openJournal(path)
  t.same(numbersIn(again), [10, 11])
  again.close()
})

t.test(
  'an acknowledgement below an earlier one, as a restored controller gives, changes nothing',
  async (t) => {
    const journal = openJournal(journalPath(t))
    for (const number of [1, 2, 3]) endOne(journal, number)
    journal.acknowledge(2)
    journal.acknowledge(0)
    t.same(numbersIn(journal), [3])
    t.equal(endOne(journal, 4), 4)
    t.equal(journal.find(sampleCommand(1, { kind: 'remove', release: null }).id)?.report?.number, 1)
    journal.close()
  }
)

t.test('what only looked is forgotten sooner than what was done', async (t) => {
  const journal = openJournal(journalPath(t))
  t.teardown(() => journal.close())
  const image = { repository: 'web', tag: 'v1', digest: null }
  const look = sampleCommand(8, { kind: 'resolve', image })
  const open = sampleCommand(9, { kind: 'resolve', image })
  for (const command of [look, open])
    journal.begin(command, 'jws', beginRun({ command, specHash: '', minFreeBytes: 0, requests: [] }), 1)
  const done = endOne(journal, 7)
  const state = beginRun({ command: look, specHash: '', minFreeBytes: 0, requests: [] })
  const { number } = journal.endRun(look.id, { ...state, phase: 'ended' }, removed, [], 50)
  const prune = (looksBeforeMs: number) => journal.prune({ beforeMs: 1, looksBeforeMs }, 99_000_000)
  prune(100)
  t.ok(journal.find(look.id), 'a report that nobody has is not pruned')
  journal.acknowledge(Math.max(done, number))
  prune(50)
  t.ok(journal.find(look.id))
  prune(51)
  t.equal(journal.find(look.id), undefined)
  t.ok(journal.find(open.id), 'it has not ended')
  t.ok(journal.find(sampleCommand(7, { kind: 'remove', release: null }).id))
})

t.test(
  'the journal remembers images that came under other names, and an older journal begins to',
  async (t) => {
    const path = journalPath(t)
    const first = openJournal(path)
    const image = { digest: sampleDigest as Digest, platform: null }
    first.images.remember({ ...image, id: 'sha256:one' })
    first.images.remember({ ...image, platform: 'linux/arm64', id: 'sha256:two' })
    first.images.remember({ ...image, id: 'sha256:three' })
    first.close()
    const again = openJournal(path)
    t.equal(again.images.find(image), 'sha256:three')
    t.equal(
      again.images.find({ ...image, platform: 'linux/arm64' }),
      'sha256:two',
      'an index is an image for each'
    )
    t.equal(again.images.digestOf('sha256:three'), sampleDigest)
    again.images.forget(image)
    t.equal(again.images.find(image), undefined)
    again.close()
    const raw = new DatabaseSync(path)
    raw.exec('drop table images')
    raw.close()
    const older = openJournal(path)
    t.equal(older.images.find(image), undefined, 'an agent of before made it without')
    older.close()
  }
)
