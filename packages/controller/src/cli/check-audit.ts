// All entries of an audit through the check of the protocol, and the head that somebody noted before.
import { type AuditCheck, type AuditFinding, beginAuditCheck, checkAuditEntry } from '@longshore/protocol'
import type { AuditView } from '../api/schemas.ts'
import type { UnreadLine } from './audit-file.ts'

export async function checkEntries(
  entries: AsyncIterable<AuditView | UnreadLine>,
  expected: AuditCheck['head'] | undefined
): Promise<AuditCheck> {
  let check = beginAuditCheck
  let isMet = expected === undefined
  for await (const entry of entries) {
    if ('line' in entry) {
      check = withFinding(check, unreadable(check.head.number + 1, entry.line))
      continue
    }
    check = await checkAuditEntry(check, entry)
    isMet ||= expected?.number === entry.number && expected.hash === entry.hash
  }
  // the first entry is that of the first token, which was made before there was anything to ask
  if (check.entries === 0 && check.findings.length === 0)
    check = withFinding(check, { number: 1, code: 'entry-missing', detail: 'there is no entry at all' })
  if (isMet || expected === undefined) return check
  const detail = `entry ${expected.number} is not the one that was noted, or is gone`
  return withFinding(check, { number: expected.number, code: 'entry-missing', detail })
}

const withFinding = (check: AuditCheck, finding: AuditFinding): AuditCheck => ({
  ...check,
  findings: [...check.findings, finding]
})

const unreadable = (number: number, line: number): AuditFinding => ({
  number,
  code: 'entry-changed',
  detail: `line ${line} is not an entry as it was exported`
})
