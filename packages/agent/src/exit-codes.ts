// How the process may end, and what a supervisor should make of it. docs/agent.md has a row per code, the
// systemd unit names those that must not be restarted; a test compares all three.

/** Name -> exit code, whether starting again by itself can help, and what it means. */
export const exitCodes = {
  stopped: { code: 0, isRestartUseful: false, meaning: 'stopped on request (SIGTERM or SIGINT)' },
  failed: { code: 70, isRestartUseful: true, meaning: 'an unexpected failure; the log has it as `fatal`' },
  'still-registered': {
    code: 69,
    isRestartUseful: true,
    meaning: '`--deregister` only: the controller could not be told, so the host is still registered'
  },
  'data-directory': {
    code: 73,
    isRestartUseful: false,
    meaning: 'the data directory cannot be used, or a file in it is damaged or readable by others'
  },
  journal: {
    code: 74,
    isRestartUseful: true,
    meaning: 'the journal cannot be written: the disk of the data directory is full or fails'
  },
  locked: { code: 75, isRestartUseful: true, meaning: 'another agent uses the data directory' },
  'not-enrolled': {
    code: 77,
    isRestartUseful: false,
    meaning: 'the controller refused the registration, or it cannot be trusted'
  },
  settings: { code: 78, isRestartUseful: false, meaning: 'a setting is missing or not valid' }
} as const satisfies Record<string, { code: number; isRestartUseful: boolean; meaning: string }>
export type ExitName = keyof typeof exitCodes

/** Ends the agent. The message says what was found and what to do about it, without secrets. */
export class AgentExit extends Error {
  override readonly name = 'AgentExit'
  readonly code: ExitName

  constructor(code: ExitName, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  get exitCode(): number {
    return exitCodes[this.code].code
  }
}
