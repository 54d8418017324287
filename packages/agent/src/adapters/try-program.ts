// Runs another version of the agent beside this one, with this one's settings, until it says that it was answered.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import * as z from 'zod'
import { candidateOption } from '../candidate.ts'
import { StepError } from '../engine-error.ts'
import { parseJson } from '../parse-json.ts'
import type { TryProgram } from '../ports.ts'

/** Starting, asking the engine, and the handshake with a controller that is busy. */
const tryLimitMs = 60_000
const answer = z.object({ version: z.string() })

export const tryProgram: TryProgram = async (path, signal) => {
  const late = AbortSignal.timeout(tryLimitMs)
  const args = [...process.execArgv, path, candidateOption, ...process.argv.slice(2)]
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.any([signal, late]),
    killSignal: 'SIGKILL'
  })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.name === 'AbortError' ? '' : `: ${error.message}`))
    child.once('close', (code, by) => resolve(` (${by ?? `exit ${code}`})`))
  })
  const [said, complaint] = await Promise.all([lastLine(child.stdout), complaintIn(child.stderr), ended])
  const read = answer.safeParse(parseJson(said))
  if (read.success) return read.data.version
  if (late.aborted)
    throw new StepError('upgrade-failed', `the new agent was not answered within ${tryLimitMs / 1000} s`)
  const why = complaint === '' ? `it ended without a word${await ended}` : complaint
  throw new StepError('upgrade-failed', `the new agent cannot serve: ${why}`)
}

const maxLineChars = 1000

const lastLine = async (stream: NodeJS.ReadableStream): Promise<string> => {
  let last = ''
  for await (const line of createInterface({ input: stream })) if (line.trim() !== '') last = line
  return last.slice(0, maxLineChars)
}

/** The last line; of an error that nobody caught that is the version of Node, and what is wrong stands above the stack. */
const complaintIn = async (stream: NodeJS.ReadableStream): Promise<string> => {
  let [last, error] = ['', '']
  for await (const line of createInterface({ input: stream })) {
    if (/^[A-Z]\w*(?: \[\w+\])?: /.test(line)) error = line
    if (line.trim() !== '') last = line
  }
  const isOfNode = /^Node\.js v\d/.test(last) && error !== ''
  return (isOfNode ? error : last).slice(0, maxLineChars)
}
