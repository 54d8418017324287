// Why the journal cannot be used, as a closed set: the adapter makes these errors, the agent ends with them, since
// without its journal it can promise nothing.
import { AgentExit } from './exit-codes.ts'

/** Code -> name of the exit. */
const exits = {
  'journal-newer': 'data-directory',
  'journal-corrupt': 'data-directory',
  'journal-locked': 'locked',
  'journal-unwritable': 'journal'
} as const

export type JournalErrorCode = keyof typeof exits

export class JournalError extends Error {
  override readonly name = 'JournalError'
  readonly code: JournalErrorCode

  /** @param message what was found and what to do */
  constructor(code: JournalErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  toExit(): AgentExit {
    return new AgentExit(exits[this.code], this.message, { cause: this })
  }
}
