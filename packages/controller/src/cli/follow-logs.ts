// Follows logs across lost connections and restarts of the controller: asks again from shortly before, and leaves out
// what was shown already. What is shown, and how, is the caller's.
import { createLogCourse } from '../api/log-course.ts'
import type { LogEvent } from '../api/schemas.ts'
import { isPassing } from './cli-errors.ts'
import type { Client } from './client.ts'
import { pause, retryDelayMs } from './follow-deployment.ts'

export type LogsAsked = {
  environment: string
  service: string
  host: string | undefined
  follow: boolean
  sinceMs: number | undefined
  tail: number | undefined
  grep: string | undefined
}

/**
 * Resolves when everything that was asked for has come; of a log that is followed when nothing more can.
 * @throws what does not pass by itself, or the signal's reason
 */
export async function followLogs(
  client: Pick<Client, 'logs'>,
  asked: LogsAsked,
  show: { event(event: LogEvent): void; notice(text: string): void },
  signal: AbortSignal
): Promise<void> {
  const course = createLogCourse()
  for (let failures = 0; ; failures += 1) {
    let lost = 'the controller closed the stream'
    const sinceMs = course.askAgain()
    const question = sinceMs === null ? asked : { ...asked, tail: undefined, sinceMs }
    try {
      for await (const event of client.logs(question, signal)) {
        if (failures > 0) show.notice('connected to the controller again')
        failures = 0
        if (course.take(event)) show.event(event)
        if (event.type === 'end') return
      }
    } catch (error) {
      signal.throwIfAborted()
      if (!asked.follow || !isPassing(error)) throw error
      lost = error instanceof Error ? error.message : String(error)
    }
    if (!asked.follow) throw new Error(`${lost} before everything had come`)
    if (failures === 0) show.notice(`${lost}; trying again`)
    await pause(retryDelayMs(failures), signal)
  }
}
