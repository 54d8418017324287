// The service files that were named on the command line, `-` for standard input.
import type { CliContext } from './cli-context.ts'
import { CliError } from './cli-errors.ts'
import { type ServiceFile, stdinName } from './service-file.ts'

/** @throws CliError usage, file-unreadable */
export async function readFiles(context: CliContext, names: readonly string[]): Promise<ServiceFile[]> {
  if (names.filter((name) => name === '-').length > 1) throw new CliError('usage', '-f - can be given once')
  const files: ServiceFile[] = []
  for (const name of names) {
    try {
      files.push(
        name === '-'
          ? { name: stdinName, text: await context.readStdin() }
          : { name, text: await context.readFile(name) }
      )
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause)
      throw new CliError('file-unreadable', `cannot read ${name}: ${detail}`, [], { cause })
    }
  }
  return files
}
