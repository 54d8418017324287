// `--ndjson FILE`: what is known of a deployment, a line for each event as it comes, so that a command that was killed
// leaves what it had heard. A disk that is full later on ends neither the wait nor the command.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { CliError } from './cli-errors.ts'
import type { Watcher } from './follow-deployment.ts'

export type EventFile = { write(line: object): void }

/** An empty file in the place of an earlier one. @throws CliError file-unwritable */
export function openEventFile(path: string): EventFile {
  try {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, '')
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new CliError('file-unwritable', `cannot write the events ${path}: ${detail}`, [], { cause })
  }
  return {
    write: (line) => {
      try {
        appendFileSync(path, `${JSON.stringify(line)}\n`)
      } catch {
        // how the deployment ends is worth more than its file
      }
    }
  }
}

/** The watcher, with every event put into the file as well. */
export const withEvents = (watcher: Watcher, events: EventFile | null): Watcher =>
  events === null
    ? watcher
    : {
        ...watcher,
        event(event) {
          events.write(event)
          watcher.event(event)
        },
        unread(event) {
          events.write(event)
          watcher.unread(event)
        }
      }
