// The process as a CliContext: the only file of the CLI that knows process, its streams and its signals.
import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import type { WriteStream } from 'node:tty'
import type { CliContext, Output } from './cli-context.ts'
import { createControllerClock } from './controller-clock.ts'
import { exitCodes } from './exit-codes.ts'
import { readSettings } from './read-settings.ts'

export function createProcessContext(): CliContext {
  const readText = (path: string): Promise<string> => readFile(path, 'utf8')
  const clock = createControllerClock(() => Date.now())
  return {
    env: process.env,
    stdout: outputOf(process.stdout),
    stderr: outputOf(process.stderr),
    readStdin: () => text(process.stdin),
    askLine,
    readFile: readText,
    nowMs: () => Date.now(),
    controllerNowMs: clock.nowMs,
    onSignal,
    async connect(urlOption) {
      const settings = await readSettings(process.env, urlOption, readText)
      const { createClient } = await import('./client.ts')
      return createClient({ ...settings, clock })
    },
    exitCode: exitCodes.succeeded
  }
}

function outputOf(stream: WriteStream): Output {
  let isClosed = false
  const closed = new EventEmitter()
  stream.on('error', (error: NodeJS.ErrnoException) => {
    isClosed = true
    closed.emit('closed')
    // the reader went away (`| head`), or progress has no place to go to: no reason to stop waiting. A result that
    // cannot be written (a full disk) is one.
    if (error.code !== 'EPIPE' && stream === process.stdout) throw error
  })
  const isTerminal = stream.isTTY === true && process.env['TERM'] !== 'dumb'
  return {
    write(text) {
      if (!isClosed) stream.write(text)
    },
    isTerminal,
    hasColor: isTerminal && (process.env['NO_COLOR'] ?? '') === '',
    // a pseudo-terminal nobody sized says 0
    columns: () => stream.columns || 80,
    rows: () => stream.rows || 24,
    onResize(listener) {
      stream.on('resize', listener)
      return () => stream.off('resize', listener)
    },
    onClosed(listener) {
      closed.on('closed', listener)
      return () => closed.off('closed', listener)
    }
  }
}

async function askLine(question: string): Promise<string | null> {
  if (process.stdin.isTTY !== true) return null
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // the end of the input, Ctrl-D, answers nothing
  const closed = once(terminal, 'close').then(() => '')
  try {
    return await Promise.race([terminal.question(question), closed])
  } finally {
    terminal.close()
  }
}

function onSignal(listener: (name: string) => void): () => void {
  process.on('SIGINT', listener)
  process.on('SIGTERM', listener)
  return () => {
    process.off('SIGINT', listener)
    process.off('SIGTERM', listener)
  }
}
