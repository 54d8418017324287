// What is said about hosts and containers among the lines of a log.
import type { LogEvent } from '@longshore/controller/api'
import { cleanLine } from './clean-line.ts'

type HostState = (LogEvent & { type: 'host' })['state']

const words: Record<HostState, string> = {
  reading: 'its log is read',
  'not-connected': 'its agent is not connected',
  lost: 'the connection is lost',
  'too-old': 'its agent is too old for logs',
  refused: 'refused',
  failed: 'failed',
  complete: 'everything has come'
}

/** @returns null: it is a line, or goes without saying */
export const describeLogEvent = (event: LogEvent): string | null => {
  switch (event.type) {
    case 'host':
      return describeHost(event)
    case 'container':
      return describeContainer(event)
    case 'left-out':
      return `${event.host}: ${countOf(event.lines)} left out, too much was written`
    case 'end':
      return 'Nothing more comes from any host.'
    default:
      return null
  }
}

const countOf = (lines: number | null): string => {
  if (lines === null) return 'more lines than were counted'
  return lines === 1 ? '1 line' : `${lines} lines`
}

const describeHost = ({ host, state, detail }: LogEvent & { type: 'host' }): string | null => {
  if (state === 'complete' || (state === 'reading' && detail === '')) return null
  const more = detail === '' || detail === words[state] ? '' : `: ${cleanLine(detail)}`
  return `${host}: ${words[state]}${more}`
}

const describeContainer = (event: LogEvent & { type: 'container' }): string => {
  const { host, container, name, release, state, detail } = event
  if (state === 'ended') return `${host}: container ${container.slice(0, 12)} has stopped`
  if (state === 'unreadable')
    return `${host}: nothing can be read of container ${container.slice(0, 12)}: ${cleanLine(detail)}`
  return `${host}: container ${cleanLine(name ?? container)} of release ${release ?? 'not known'}`
}
