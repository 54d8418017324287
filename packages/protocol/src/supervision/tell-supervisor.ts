// Keeps a supervisor told: one message at a time, a failed one again with the next, signs of life only for as long as
// the process proves that its work goes on. Timers and the message itself come in; the words are word-signs.ts's.
import { type Standing, wordSigns } from './word-signs.ts'

/** What is told of the process. Nothing throws, and nothing has to be waited for. */
export type Teller = {
  /** Not ready yet, and at work on something that may take `withinMs` without another word. */
  starting(status: string, withinMs: number): void
  ready(status: string): void
  /** Changes the sentence; several within a second are told as one. */
  status(status: string): void
  stopping(status: string): void
}

export type TellerPorts = {
  /** Resolves once the supervisor has it. */
  send(lines: readonly string[]): Promise<void>
  after(delayMs: number, wake: () => void): () => void
  log: { warn(fields: object, text: string): void }
  /** null: no signs of life are wanted. */
  signEveryMs: number | null
  /** Resolves with null when the work goes on, or with what keeps it; while it hangs there is no sign. Never rejects. */
  prove(): Promise<string | null>
}

/** Many hosts may come within a second, and each message is a process. */
const statusDelayMs = 1_000
const noSign = 'the work of this process does not go on: the supervisor gets no sign of life'
/** A message that failed is sent again after this: several times before a start is given up. */
const retryMs = 10_000

/** Without a supervisor nothing is told. */
export const silentTeller: Teller = { starting() {}, ready() {}, status() {}, stopping() {} }

export const createTeller = (ports: TellerPorts): Teller => {
  let standing: Standing = { phase: 'starting', status: '' }
  let told: Standing | null = null
  let isProven = false
  let isSending = false
  let hasFailed = false
  let isProving = false
  let isWatching = false
  let cancelDelayed: (() => void) | null = null

  const tellIn = (delayMs: number): void => {
    if (cancelDelayed !== null) return
    cancelDelayed = ports.after(delayMs, () => {
      cancelDelayed = null
      tell()
    })
  }
  const tell = (): void => {
    if (isSending) return
    const lines = wordSigns(standing, told, isProven)
    const { startsWithinMs: _, ...now } = standing
    standing = now
    if (lines.length === 0) return
    isSending = true
    isProven = false
    void ports.send(lines).then(
      () => {
        told = now
        isSending = false
        hasFailed = false
        tell()
      },
      (error: unknown) => {
        isSending = false
        // once: a program that is missing stays away
        if (!hasFailed) ports.log.warn({ err: error, lines }, 'the supervisor could not be told')
        hasFailed = true
        tellIn(retryMs)
      }
    )
  }
  const proveLater = (): void => {
    if (ports.signEveryMs === null) return
    ports.after(ports.signEveryMs, () => {
      if (standing.phase === 'stopping') return
      proveLater()
      if (isProving) return ports.log.warn({}, noSign)
      isProving = true
      void ports.prove().then((obstacle) => {
        isProving = false
        if (obstacle !== null) return ports.log.warn({ obstacle }, noSign)
        isProven = true
        tell()
      })
    })
  }
  const enter = (next: Standing): void => {
    if (standing.phase === 'stopping') return
    standing = next
    tell()
  }
  return {
    starting: (status, withinMs) => enter({ phase: 'starting', status, startsWithinMs: withinMs }),
    ready: (status) => {
      enter({ phase: 'ready', status })
      if (isWatching) return
      isWatching = true
      proveLater()
    },
    status: (status) => {
      if (standing.phase === 'stopping') return
      standing = { ...standing, status }
      tellIn(statusDelayMs)
    },
    stopping: (status) => enter({ phase: 'stopping', status })
  }
}
