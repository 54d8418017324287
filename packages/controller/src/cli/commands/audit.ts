// `longshore audit`, `audit export` and `audit verify`: who did what, and whether that is still what was written.
import type { AuditCheck } from '@longshore/protocol'
import { type Command, Option } from 'commander'
import type { AuditView } from '../../api/schemas.ts'
import { readAuditFile } from '../audit-file.ts'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import type { Client } from '../client.ts'
import { exitCodes } from '../exit-codes.ts'
import { momentAgo } from '../moment-ago.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseCount, parseDuration } from '../parse-values.ts'
import { renderAudit, renderAuditCheck } from '../render-audit.ts'

type Words = Partial<Record<'who' | 'action' | 'subject' | 'outcome', string | undefined>>
type Flags = Words & { url?: string; since?: number; limit: number; output: OutputFormat }

/** What the API gives at once. */
const pageEntries = 1000

export function addAudit(program: Command, context: CliContext): void {
  const group = program
    .command('audit')
    .description('Shows who changed what, from where, and how it went; the newest first.')
    .option('--who <name>', 'only of this token, agent or part of the controller')
    .option('--action <action>', 'only this action; a * at the end stands for any ending')
    .option('--subject <subject>', 'only of this deployment, agent, service, ...; * as above')
    .option('--outcome <outcome>', 'only with this outcome; * as above')
    .addOption(new Option('--since <duration>', 'only of the last so long').argParser(parseDuration))
    .addOption(new Option('--limit <number>', 'at most this many').argParser(parseCount).default(50))
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, limit, since, output, who, action, subject, outcome } = self.optsWithGlobals<Flags>()
      const client = await context.connect(url)
      const wanted = { who, action, subject, outcome, sinceMs: await momentAgo(client, since) }
      const entries = await newest(client, wanted, limit)
      writeList(context, output, 'audit', entries, () => renderAudit(entries))
    })
  group
    .command('export')
    .description('Writes the whole audit to standard output, one entry a line, the oldest first.')
    .action(async (_own: unknown, self: Command) => {
      const client = await context.connect(self.optsWithGlobals<Flags>().url)
      for await (const entry of allOf(client)) context.stdout.write(`${JSON.stringify(entry)}\n`)
    })
  group
    .command('verify [file]')
    .description(
      'Checks the chain of hashes and the receipts of agents; of an exported file without the controller.'
    )
    .addOption(
      new Option('--head <number:hash>', 'an entry noted before, which has to be there').argParser(parseHead)
    )
    .action(async (file: string | undefined, { head }: { head?: AuditCheck['head'] }, self: Command) => {
      const { url } = self.optsWithGlobals<Flags>()
      const entries = file === undefined ? allOf(await context.connect(url)) : readAuditFile(context, file)
      const { checkEntries } = await import('../check-audit.ts')
      const check = await checkEntries(entries, head)
      context.stdout.write(renderAuditCheck(check))
      if (check.findings.length > 0) context.exitCode = exitCodes.reverted
    })
}

async function newest(
  client: Client,
  wanted: Words & { sinceMs: number | undefined },
  limit: number
): Promise<AuditView[]> {
  const entries: AuditView[] = []
  let before: number | undefined
  while (entries.length < limit) {
    const most = Math.min(pageEntries, limit - entries.length)
    const page = await client.audit({ ...wanted, before, limit: most })
    entries.push(...page)
    before = page.at(-1)?.number
    if (page.length < most) break
  }
  return entries
}

async function* allOf(client: Client): AsyncGenerator<AuditView> {
  let after = 0
  for (;;) {
    const page = await client.audit({ after, limit: pageEntries })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.number
  }
}

function parseHead(text: string): AuditCheck['head'] {
  const [, number, hash] = /^(\d{1,15}):([A-Za-z0-9_-]{43})$/.exec(text) ?? []
  if (number !== undefined && hash !== undefined) return { number: Number(number), hash }
  throw new CliError('usage', '--head expects NUMBER:HASH, as `longshore audit verify` prints it')
}
