// A database of the first schema, as a controller of that time left it in the middle of a deployment (the text of
// test/support/schema-1.sql is a dump of one): today's controller takes it up where it was.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beginAuditCheck, checkAuditEntry } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import type { StoredEvent } from '../../packages/controller/src/core/deployment/events.ts'
import { replay } from '../../packages/controller/src/core/deployment/step.ts'
import { released, wentBack } from '../unit/controller/core/deployment-scenes.ts'
import { beginScene, jenkins, requestFor } from '../unit/controller/engine/engine-scene.ts'
import { Hosts } from '../unit/controller/engine/scene-hosts.ts'

const dump = readFileSync(new URL('../support/schema-1.sql', import.meta.url), 'utf8')

const openOld = async (dir: string, more = '') => {
  const path = join(dir, 'longshore.db')
  const raw = new DatabaseSync(path)
  raw.exec(dump + more)
  raw.close()
  return openStore({ path })
}

/** What was in flight under the first schema is never given anew: its order was not kept. */
const withoutOrders = (state: unknown): unknown =>
  JSON.parse(JSON.stringify(state), (key, value) => (key === 'order' ? undefined : value))

t.test('keeps deployments, locks and the current release of a database of the first schema', async (t) => {
  const store = await openOld(t.testdir())
  const [running, ended] = await store.deployments({ service: 'api' })
  t.match(ended, { mode: 'deploy', outcome: 'succeeded', attemptOf: null })
  t.match(running, { phase: 'rolling', outcome: null })
  t.match(await store.currentReleases(), [{ service: 'api', release: 1, deployment: ended?.id }])
  t.equal((await store.currentRelease('staging', 'api'))?.number, 1)
  t.match(await store.lock('staging', 'api'), { deployment: running?.id, reason: null, owner: '' })
  t.ok((await store.outbox({})).every(({ service }) => service === 'api'))
  for (const row of [running, ended]) {
    const events = (await store.deploymentEvents(row?.id ?? '')) as StoredEvent[]
    t.same(withoutOrders(replay(events)), row?.state, 'the upgraded events give the upgraded state')
  }
  await store.close()
})

t.test('chains the audit of a database that had none', async (t) => {
  const entry = (number: number) =>
    `insert into audit values (${number}, 9, 'token', 'tok_1', 'ci', '', 'x.do', 's', '{"a":[1,null]}', 'ok');`
  const store = await openOld(t.testdir(), [1, 2, 3].map(entry).join(''))
  let check = beginAuditCheck
  for (const entry of await store.audit({ limit: 1000, after: 0 }))
    check = await checkAuditEntry(check, entry)
  t.same(check.findings, [])
  t.equal(check.entries, 3)
  await store.close()
})

t.test('takes issuers of before as those with which nobody signs in', async (t) => {
  const path = join(t.testdir(), 'longshore.db')
  await (await openStore({ path })).close()
  const raw = new DatabaseSync(path)
  raw.exec(
    "insert into issuers (name, url, audience, maxAgeMs, rules, setAtMs, setBy) values ('ci', 'https://ci.example.com', 'ins', 1, '[]', 1, 'admin')"
  )
  raw.close()
  const store = await openStore({ path })
  t.match(await store.issuers(), [{ name: 'ci', rules: [], signIn: null }])
  await store.close()
})

t.test('says before it brings a database to this version, and says nothing for one that is', async (t) => {
  const path = join(t.testdir(), 'longshore.db')
  const raw = new DatabaseSync(path)
  raw.exec(dump)
  raw.close()
  let said = 0
  const migrating = () => void said++
  for (const expected of [1, 1]) {
    await (await openStore({ path, migrating })).close()
    t.equal(said, expected)
  }
})

t.test('says of stored commands what they are apart from what they need', async (t) => {
  const named = "update outbox set kind = 'remove-containers' where command = 'cmd_000003g0000000000000';"
  const store = await openOld(t.testdir(), named)
  const rows = await store.outbox({})
  t.match(await store.command('cmd_000003g0000000000000'), { kind: 'remove', needs: ['remove-containers'] })
  t.ok(rows.every(({ kind, needs }) => kind === 'remove' || (needs.length === 1 && needs[0] === kind)))
  t.ok(rows.length > 5)
  await store.close()
})

t.test('ends a deployment that was begun under the first schema, and rolls it back', async (t) => {
  const store = await openOld(t.testdir())
  const hosts = new Hosts(['a', 'b'], (_host, { body }) => {
    if (body.kind === 'release') return { ...released, release: body.release }
    if (body.kind === 'revert') return wentBack('revert', 'old')
    if (body.kind === 'settle')
      return { status: 'succeeded', result: { kind: 'settle', warnings: [] }, serving: 'new', release: 2 }
    return undefined
  })
  const scene = await beginScene(store, hosts)
  await scene.settle()
  const [view] = await scene.deployments.list({})
  t.equal(view?.outcome, 'succeeded', view?.reason ?? '')
  t.same(scene.sent, ['b release', 'a settle', 'b settle'])
  t.equal((await store.currentRelease('staging', 'api'))?.number, 2)
  const back = requestFor({ what: { by: 'rollback', release: null } })
  t.match(await scene.deployments.request(jenkins, back), { release: 1, previousRelease: 2 })
  t.same(scene.faults, [])
  await scene.close()
})
