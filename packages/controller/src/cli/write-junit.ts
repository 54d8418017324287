// `--junit FILE`: the report is on disk before anything is asked, saying that the end is not known, and is replaced
// by the end. Whoever finds it never finds the report of an earlier command, half a report, or none.
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { CliError } from './cli-errors.ts'
import type { Suite } from './junit-suite.ts'
import { renderJunit } from './render-junit.ts'

/** @throws CliError file-unwritable */
export async function writeJunit(path: string, suite: Suite): Promise<void> {
  const temporary = `${path}.${String(process.pid)}.tmp`
  try {
    await mkdir(dirname(path), { recursive: true })
    await writeFile(temporary, renderJunit([suite]), { flag: 'wx' })
    await rename(temporary, path)
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new CliError('file-unwritable', `cannot write the report ${path}: ${detail}`, [], { cause })
  }
}
