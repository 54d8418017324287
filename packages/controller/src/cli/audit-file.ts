// An exported audit, read line by line. A line that cannot be read is an entry that was changed.
import type { AuditView } from '../api/schemas.ts'
import type { CliContext } from './cli-context.ts'
import { readFiles } from './read-files.ts'

/** What a line is not: an entry; `line` counts from 1. */
export type UnreadLine = { line: number }

/** @throws CliError file-unreadable */
export async function* readAuditFile(
  context: CliContext,
  name: string
): AsyncGenerator<AuditView | UnreadLine> {
  const { auditView } = await import('../api/schemas.ts')
  const [file] = await readFiles(context, [name])
  const lines = (file?.text ?? '').split('\n')
  // the line feed at the end of the last one
  if (lines.at(-1) === '') lines.pop()
  for (const [index, text] of lines.entries()) {
    const read = auditView.safeParse(parse(text))
    yield read.success && JSON.stringify(read.data) === text ? read.data : { line: index + 1 }
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
