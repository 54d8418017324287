// The stream of all events, for as long as the page is open. The browser connects again by itself and says the last
// event it saw; where it gives up (the controller refused), this begins anew.
import type { StreamEvent } from '@longshore/controller/api'

export type EventFollower = { stop(): void }

/** The controller may be restarting; it is asked gently. */
const beginAgainMs = 2000

export const followEvents = (heard: {
  event(event: StreamEvent): void
  opened(): void
  broke(): void
}): EventFollower => {
  let source: EventSource | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  const begin = (): void => {
    source = new EventSource('v1/events')
    source.onopen = heard.opened
    source.onmessage = ({ data }: MessageEvent<string>) => {
      heard.event(JSON.parse(data) as StreamEvent)
    }
    source.onerror = () => {
      heard.broke()
      if (source?.readyState === EventSource.CLOSED) timer = setTimeout(begin, beginAgainMs)
    }
  }
  begin()
  return {
    stop: () => {
      clearTimeout(timer)
      source?.close()
    }
  }
}
