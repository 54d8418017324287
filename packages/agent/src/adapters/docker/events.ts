// The event stream of the engine: which containers something happened to, and when the engine went and came back.
// The stream is opened again whenever it ends. What the events mean for the inventory is left to watch.ts.
import * as z from 'zod'
import type { Clock } from '../../ports.ts'
import type { DockerClient } from './client.ts'

/** An engine that went away is asked again at this pace. */
const reopenAfterMs = 1_000

export type EventListener = {
  /** The stream is open: from now on nothing that happens is missed. */
  opened(): void
  happened(containerId: string): void
  /** The engine does not answer, or ended the stream. */
  closed(): void
}

/** Without `exec_*`: a health check causes three of those every few seconds, and changes nothing by itself. */
const actions = [
  'create',
  'start',
  'restart',
  'stop',
  'kill',
  'die',
  'oom',
  'pause',
  'unpause',
  'rename',
  'update',
  'destroy',
  'health_status',
  'connect',
  'disconnect'
]

const event = z.object({
  Type: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() })
})

/** Runs until the signal is aborted; never rejects. */
export const followEvents = async (
  client: DockerClient,
  clock: Clock,
  signal: AbortSignal,
  listener: EventListener
): Promise<void> => {
  const filters = JSON.stringify({ type: ['container', 'network'], event: actions })
  while (!signal.aborted) {
    try {
      // An engine that was upgraded meanwhile may have ended the version that was spoken before.
      await client.negotiate()
      const request = { method: 'GET', path: '/events', query: { filters }, subject: 'engine' } as const
      const stream = await client.open(request, signal)
      listener.opened()
      await readEvents(stream, (id) => listener.happened(id))
    } catch {
      // Told below like an ordinary end: what matters is that the engine is not there.
    }
    if (signal.aborted) return
    listener.closed()
    await new Promise<void>((resolve) => {
      clock.after(reopenAfterMs, resolve)
    })
  }
}

/** One JSON object per line, cut anywhere. */
const readEvents = async (stream: NodeJS.ReadableStream, tell: (id: string) => void): Promise<void> => {
  let open = ''
  for await (const chunk of stream) {
    const lines = (open + String(chunk)).split('\n')
    open = lines.pop() ?? ''
    for (const line of lines) {
      const id = containerIn(line)
      if (id !== undefined) tell(id)
    }
  }
}

const containerIn = (line: string): string | undefined => {
  if (line.trim() === '') return undefined
  const { Type, Actor } = event.parse(JSON.parse(line))
  return Type === 'network' ? Actor.Attributes?.['container'] : Actor.ID
}
