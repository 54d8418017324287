// How a long-lived process is started, watched by its output, and ended by its pid. It runs in a session of
// its own, so that Ctrl-C at the terminal reaches only the one who started it and who then ends it in order.
import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { WaitedTooLong } from './wait-until.ts'

export type ProcessEnd = { exitCode: number | null; signal: NodeJS.Signals | null }

export class ProcessEndedEarly extends Error {
  override readonly name = 'ProcessEndedEarly'
  readonly code = 'process-ended-early'
}

/** Lines kept for error messages and `waitForLine`; a chatty daemon must not fill the memory. */
const maxKeptLines = 5000

export class RunningProcess {
  readonly name: string
  readonly pid: number
  /** Resolves when the process has ended and its output was read. */
  readonly ended: Promise<ProcessEnd>
  #end: ProcessEnd | undefined
  #lines: string[] = []
  #child: ChildProcess
  #events = new EventEmitter()

  constructor(name: string, child: ChildProcess, pid: number) {
    this.name = name
    this.pid = pid
    this.#child = child
    this.#events.setMaxListeners(0)
    this.#collect(child.stdout)
    this.#collect(child.stderr)
    this.ended = new Promise((resolve) => {
      child.once('close', (exitCode, signal) => {
        this.#end = { exitCode, signal }
        resolve(this.#end)
        this.#events.emit('change')
      })
    })
  }

  get isRunning(): boolean {
    return this.#end === undefined
  }

  /** Output of both streams so far, in the order of arrival. */
  get output(): string {
    return this.#lines.join('\n')
  }

  /**
   * Waits for a line of output, those printed already included.
   * Rejects when the process ends without it or the deadline passes, with the last lines in the message.
   */
  async waitForLine(pattern: RegExp, deadlineMs = 60_000): Promise<string> {
    const giveUp = AbortSignal.timeout(deadlineMs)
    for (;;) {
      const line = this.#lines.find((text) => pattern.test(text))
      if (line !== undefined) return line
      const tail = `${pattern}; its last lines:\n${this.#lines.slice(-20).join('\n')}`
      if (!this.isRunning) throw new ProcessEndedEarly(`${this.name} ended before it printed ${tail}`)
      if (giveUp.aborted) throw new WaitedTooLong(`${this.name} did not print ${tail}`)
      await once(this.#events, 'change', { signal: giveUp }).catch(() => undefined)
    }
  }

  /** Sends a signal; nothing happens when it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (this.isRunning) this.#child.kill(signal)
  }

  /** SIGKILL, and waits until it is gone. */
  async kill(): Promise<ProcessEnd> {
    this.signal('SIGKILL')
    return this.ended
  }

  /** SIGTERM, after `graceMs` SIGKILL, and waits until it is gone. */
  async stop(graceMs = 10_000): Promise<ProcessEnd> {
    this.signal('SIGTERM')
    const lastResort = setTimeout(() => this.signal('SIGKILL'), graceMs)
    const end = await this.ended
    clearTimeout(lastResort)
    return end
  }

  #collect(stream: NodeJS.ReadableStream | null): void {
    let rest = ''
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      this.#keep(lines)
    })
    stream?.on('end', () => this.#keep(rest === '' ? [] : [rest]))
  }

  #keep(lines: string[]): void {
    this.#lines.push(...lines)
    if (this.#lines.length > maxKeptLines) this.#lines.splice(0, this.#lines.length - maxKeptLines)
    this.#events.emit('change')
  }
}

export type ProcessOptions = {
  /** For error messages. */
  name: string
  file: string
  args: readonly string[]
  env?: NodeJS.ProcessEnv
  cwd?: string
}

/** Starts a process. Rejects when the file cannot be executed. */
export const startProcess = async (options: ProcessOptions): Promise<RunningProcess> => {
  // Whoever is killed outright cannot clean up: the kernel then ends what it had started (prctl(2), PDEATHSIG).
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', options.file, ...options.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd })
  })
  await once(child, 'spawn')
  if (child.pid === undefined) throw new ProcessEndedEarly(`${options.name} has no pid`)
  return new RunningProcess(options.name, child, child.pid)
}
