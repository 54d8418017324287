// One flipped bit anywhere in an exported audit is found, and where: of each byte of a small one; in the gate one bit of
// it, and all of its number; with LONGSHORE_PROOF=1 (`npm run proof:ops`) every bit.
import {
  type AuditEntry,
  chainStart,
  generateSigningKey,
  hashAuditEntry,
  outcomeText,
  runOutcome,
  signJws
} from '@longshore/protocol'
import t from 'tap'
import { readAuditFile } from '../../../packages/controller/src/cli/audit-file.ts'
import { checkEntries } from '../../../packages/controller/src/cli/check-audit.ts'

const isProof = process.env['LONGSHORE_PROOF'] === '1'
const allBits = [0, 1, 2, 3, 4, 5, 6, 7]
const lineFeed = 10
const numberEndsAt = '{"number":1,'.length

/** A host enrols, signs a report, and somebody asks for something. */
const writeAudit = async (): Promise<string> => {
  const { key } = await generateSigningKey()
  const outcome = runOutcome.parse({
    status: 'succeeded',
    result: { kind: 'settle', warnings: [] },
    serving: 'new',
    release: null
  })
  const evidence = await signJws(
    'receipt',
    { command: 'cmd_00000000000000000001', number: 1, outcome, steps: [] },
    key
  )
  const agent = { actorKind: 'agent', actorId: 'agt_1', actorName: 'web-1', address: '' }
  const person = { actorKind: 'api-token', actorId: 'tok_1', actorName: 'Zoë', address: '192.0.2.1' }
  const reported = { request: { agentKey: key.publicJwk }, outcome: outcomeText(outcome), evidence }
  const asked = { request: { tag: '1.2', isForced: false }, outcome: 'ok', evidence: null }
  const written = [
    {
      ...agent,
      action: 'agent.enrol',
      subject: 'agt_1',
      request: { key: key.kid },
      outcome: 'ok',
      evidence: null
    },
    { ...agent, action: 'report.settle', subject: 'cmd_00000000000000000001', ...reported },
    { ...person, action: 'deployment.request', subject: 'staging/web', ...asked }
  ]
  const entries: AuditEntry[] = []
  for (const [index, own] of written.entries()) {
    const entry = { number: index + 1, atMs: 1_796_000_000_000 + index, ...own }
    entries.push({ ...entry, hash: await hashAuditEntry(entries.at(-1)?.hash ?? chainStart, entry) })
  }
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('')
}

const findingsIn = async (bytes: Buffer) => {
  const context = { readFile: async () => bytes.toString() } as unknown as Parameters<typeof readAuditFile>[0]
  return (await checkEntries(readAuditFile(context, 'audit.ndjson'), undefined)).findings
}

t.test('a flipped bit of an export is found, in its entry', async (t) => {
  const good = Buffer.from(await writeAudit())
  t.same(await findingsIn(good), [], 'nothing is found in what was written')
  const missed: string[] = []
  let [line, beganAt] = [1, 0]
  for (const [at, byte] of good.entries()) {
    for (const bit of isProof || at - beganAt < numberEndsAt ? allBits : [at % 8]) {
      const flipped = Buffer.from(good)
      flipped[at] = byte ^ (1 << bit)
      const [first] = await findingsIn(flipped)
      if (first?.number !== line)
        missed.push(`bit ${bit} of byte ${at} in entry ${line}: ${JSON.stringify(first)}`)
    }
    if (byte === lineFeed) [line, beganAt] = [line + 1, at + 1]
  }
  t.same(missed, [])
})
