// What every command is given instead of the process: streams, settings, signals, the client. Heavy modules
// (zod, HTTP) load when a command asks for them, so that `longshore version` does not pay for them.
import type { Client } from './client.ts'
import type { ExitCode } from './exit-codes.ts'
import type { Environment } from './read-settings.ts'

export type Output = {
  write(text: string): void
  readonly isTerminal: boolean
  /** Colour is wanted: a terminal, not dumb, and no NO_COLOR. */
  readonly hasColor: boolean
  columns(): number
  rows(): number
  /** Returns its own cancellation. */
  onResize(listener: () => void): () => void
  /** Whoever read it went away, which shows when something is written. Returns its own cancellation. */
  onClosed(listener: () => void): () => void
}

export type CliContext = {
  env: Environment
  stdout: Output
  stderr: Output
  readStdin(): Promise<string>
  /** Asks whoever sits at the terminal for a line; null: standard input is no terminal. */
  askLine(question: string): Promise<string | null>
  readFile(path: string): Promise<string>
  nowMs(): number
  /** By the controller's clock, as its last answer told it. */
  controllerNowMs(): number
  /** SIGINT and SIGTERM, while listened to; by default they end the process. Returns its own cancellation. */
  onSignal(listener: (name: string) => void): () => void
  connect(urlOption: string | undefined): Promise<Client>
  /** Set by the command that ran; 0 until then. */
  exitCode: ExitCode
}
