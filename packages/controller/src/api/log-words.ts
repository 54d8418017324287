// What people have to know beside the lines of a log: about hosts, containers, and lines that are not there. For the
// command line and for the page.
import type { LogEvent } from './schemas.ts'

const hostStates: Record<(LogEvent & { type: 'host' })['state'], string> = {
  reading: 'its log is read',
  'not-connected': 'its agent is not connected',
  lost: 'the connection is lost',
  'too-old': 'its agent is too old for logs',
  refused: 'refused',
  failed: 'failed',
  complete: 'everything has come'
}

/**
 * @param clean makes a text that came from a host harmless where it is shown
 * @returns null: it is a line, the end, or goes without saying
 */
export const describeLogEvent = (event: LogEvent, clean: (text: string) => string): string | null => {
  switch (event.type) {
    case 'host':
      return describeHost(event, clean)
    case 'container':
      return describeContainer(event, clean)
    case 'left-out':
      return `${event.host}: ${countOf(event.lines)} left out, too much was written`
    default:
      return null
  }
}

const countOf = (lines: number | null): string => {
  if (lines === null) return 'more lines than were counted'
  return lines === 1 ? '1 line' : `${lines} lines`
}

const describeHost = (
  { host, state, detail }: LogEvent & { type: 'host' },
  clean: (text: string) => string
): string | null => {
  if (state === 'complete' || (state === 'reading' && detail === '')) return null
  const words = hostStates[state]
  return detail === '' || detail === words ? `${host}: ${words}` : `${host}: ${words}: ${clean(detail)}`
}

const describeContainer = (
  { host, container, name, release, state, detail }: LogEvent & { type: 'container' },
  clean: (text: string) => string
): string => {
  if (state === 'ended') return `${host}: container ${container} has stopped`
  if (state === 'unreadable')
    return `${host}: nothing can be read of container ${container}: ${clean(detail)}`
  return `${host}: container ${clean(name ?? container)} of release ${release ?? 'not known'}`
}
