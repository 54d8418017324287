// The audit from end to end: a real controller, an agent that signs, the real CLI that checks, and somebody who
// changes bits in the database and in what was exported.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type AuditEntry, signJws } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { checkEntries } from '../../packages/controller/src/cli/check-audit.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { run } from '../support/cli-process.ts'
import { type RealController, specOf, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

t.setTimeout(120_000)

const audited = async ({ ask }: RealController, query = 'after=0&limit=1000'): Promise<AuditEntry[]> =>
  (await ask('GET', `/v1/audit?${query}`)).body as unknown as AuditEntry[]

/** One deployment to one host that answers by signed receipts. */
const deployed = async (t: Test) => {
  const controller = await startRealController(t)
  const { ask } = controller
  const machine = await newMachine('web-1')
  const join = await controller.joinToken()
  await enrol(controller.url, machine, join.token)
  await connectAnswering(controller.url, machine, await controller.trust())
  await ask('PUT', '/v1/environments/staging/services/it/spec', { body: { spec: specOf(), dryRun: false } })
  const body = { service: 'it', environment: 'staging', what: { by: 'tag', tag: '1' } }
  const id = textOf((await ask('POST', '/v1/deployments', { body })).body, 'id')
  await waitUntil('the deployment has ended', async () => {
    const { phase } = (await ask('GET', `/v1/deployments/${id}`)).body
    return phase === 'ended'
  })
  await waitUntil('the last report is in the audit', async () =>
    (await audited(controller, 'action=report.settle')).some(({ evidence }) => evidence !== null)
  )
  return { controller, machine }
}

const asIs = async function* (entries: readonly AuditEntry[]) {
  yield* entries
}

t.test('who did what is listed, filtered, exported and checked without the controller', async (t) => {
  const { controller } = await deployed(t)
  const env = { LONGSHORE_TOKEN: controller.token }
  const longshore = (...args: string[]) => run(controller.url, args, env).ended

  const list = await longshore('audit', '--action', 'deployment.*', '--who', 'admin')
  t.equal(list.code, 0)
  t.match(list.out, /ENTRY .*\n\d+ .* admin +192\.0\.2\.1 +deployment\.request +staging\/it +ok/)
  t.match((await longshore('audit', '--subject', 'nobody')).out, /^nothing in the audit fits\n$/)

  const exported = await longshore('audit', 'export')
  const entries = exported.out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as AuditEntry)
  t.same(entries.slice(0, 3), (await audited(controller)).slice(0, 3))
  const receipts = entries.filter(({ evidence }) => evidence !== null)
  t.ok(receipts.some(({ action }) => action === 'report.release'))
  t.notMatch(exported.out, controller.token)

  const file = join(t.testdir(), 'audit.ndjson')
  await writeFile(file, exported.out)
  await controller.stop()
  const good = await longshore('audit', 'verify', file)
  t.match(good, { code: 0, out: `${entries.length} entries, ${receipts.length} receipts of agents: nothing` })
  const [, head = ''] = /head (\S+)/.exec(good.out) ?? []
  await writeFile(file, exported.out.split('\n').slice(0, -2).join('\n'))
  t.match(await longshore('audit', 'verify', file, '--head', head), { code: 1, out: /^entry-missing: / })
  await writeFile(file, '')
  t.match(await longshore('audit', 'verify', file), {
    code: 1,
    out: /^entry-missing: there is no entry at all/
  })
  await controller.start()
})

t.test('a flipped bit anywhere in an export is found, at its line', async (t) => {
  const { controller } = await deployed(t)
  const entries = await audited(controller)
  const text = entries.map((entry) => JSON.stringify(entry)).join('\n')
  const file = join(t.testdir(), 'audit.ndjson')
  const { readAuditFile } = await import('../../packages/controller/src/cli/audit-file.ts')
  const context = { readFile: async () => flipped } as unknown as Parameters<typeof readAuditFile>[0]
  let flipped = text
  const findings = async () => (await checkEntries(readAuditFile(context, file), undefined)).findings
  t.same(await findings(), [])
  // a step that is prime to the length of every line: each part of an entry gets its turn
  for (let at = 0; at < text.length; at += 997) {
    const changed = String.fromCharCode(text.charCodeAt(at) ^ (1 << (at % 7)))
    flipped = text.slice(0, at) + changed + text.slice(at + 1)
    const line = text.slice(0, at).split('\n').length
    const [first] = await findings()
    if (first === undefined || Math.abs(first.number - line) > 1) {
      t.fail(`bit ${at % 7} of character ${at} (line ${line}): ${JSON.stringify(first)}`)
      return
    }
  }
  t.pass('each was found')
})

t.test('a changed, removed or invented entry of the database is found', async (t) => {
  const { controller, machine } = await deployed(t)
  const before = await audited(controller)
  await controller.stop()
  const changes: [string, string][] = [
    [
      "update audit set outcome = 'ok' where number = (select min(number) from audit where outcome = 'owed')",
      'entry-changed'
    ],
    ['delete from audit where number = 3', 'entry-missing'],
    ["update audit set actorName = 'somebody' where number = 2", 'entry-changed'],
    ["update audit set evidence = replace(evidence, 'a', 'b') where evidence is not null", 'entry-changed']
  ]
  for (const [sql, code] of changes) {
    const database = new DatabaseSync(join(controller.dataDir, 'controller.db'))
    database.exec(`begin; ${sql}`)
    const rows = database.prepare('select * from audit order by number').all()
    database.exec('rollback')
    database.close()
    const entries = rows.map((row) => ({ ...row, request: JSON.parse(String(row['request'])) }) as AuditEntry)
    const { findings } = await checkEntries(asIs(entries), undefined)
    t.match(findings[0], { code }, sql)
  }
  t.same((await checkEntries(asIs(before), undefined)).findings, [])
  // somebody who can compute hashes, but has not the agent's key
  const { beginAuditCheck, checkAuditEntry, hashAuditEntry } = await import('@longshore/protocol')
  const last = before.at(-1)
  const report = before.find(({ action }) => action === 'report.release')
  if (last === undefined || report === undefined) throw new Error('nothing was audited')
  const stranger = await newMachine('stranger')
  const outcome = {
    status: 'succeeded',
    result: { kind: 'settle', warnings: [] },
    serving: 'new',
    release: 1
  }
  const content = { command: report.subject, number: 9, outcome, steps: [] }
  const agentKey = stranger.key.publicJwk
  const forged: [object, string][] = [
    [{ outcome: 'failed:unhealthy' }, 'receipt-differs'],
    [{ evidence: await signJws('receipt', content, stranger.key) }, 'receipt-invalid'],
    [
      { evidence: await signJws('receipt', content, stranger.key), request: { agentKey } },
      'receipt-unknown-key'
    ],
    [{ evidence: await signJws('receipt', content, machine.key), outcome: 'succeeded' }, '']
  ]
  let whole = beginAuditCheck
  for (const entry of before) whole = await checkAuditEntry(whole, entry)
  for (const [change, code] of forged) {
    const { hash: _, ...entry } = { ...report, ...change, number: last.number + 1 }
    const hash = await hashAuditEntry(last.hash, entry)
    const { findings } = await checkAuditEntry(whole, { ...entry, hash })
    t.same(
      findings.map((one) => one.code),
      code === '' ? [] : [code]
    )
  }
  await controller.start()
})

t.test('only a token for everything reads the audit', async (t) => {
  const controller = await startRealController(t)
  const some = await controller.tokenFor('read:*/*', 'audit:staging/*')
  t.match(await controller.ask('GET', '/v1/audit', { token: some }), { status: 403 })
  const all = await controller.tokenFor('audit:*/*')
  const page = await controller.ask('GET', '/v1/audit?limit=1&action=api-token.*', { token: all })
  t.match(page, { status: 200, body: [{ action: 'api-token.create', outcome: 'ok' }] })
  t.match(await controller.ask('GET', '/v1/audit?limt=1', { token: all }), { status: 400 })
})
