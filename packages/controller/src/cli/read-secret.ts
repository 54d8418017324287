// A secret for a command: from standard input or a file, never from the command line, which every user of the machine
// can read.
import type { CliContext } from './cli-context.ts'
import { CliError } from './cli-errors.ts'

export type SecretFlags = {
  /** As people call it: `password`. */
  name: string
  /** Of the options, without `-stdin` and `-file`. */
  option: string
  isStdin: boolean
  file: string | undefined
}

/**
 * Without the line break at its end, as `docker login` takes it.
 * @throws CliError usage, file-unreadable
 */
export async function readSecret(context: CliContext, flags: SecretFlags): Promise<string> {
  const { name, option, isStdin, file } = flags
  if (isStdin === (file !== undefined))
    throw new CliError('usage', `give the ${name} with ${option}-stdin or with ${option}-file PATH`)
  const text = file === undefined ? await context.readStdin() : await readNamed(context, name, file)
  const secret = text.replace(/\r?\n$/, '')
  if (secret === '') throw new CliError('usage', `the ${name} is empty`)
  return secret
}

async function readNamed(context: CliContext, name: string, path: string): Promise<string> {
  try {
    return await context.readFile(path)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new CliError('file-unreadable', `cannot read the ${name}: ${detail}`, [], { cause })
  }
}
