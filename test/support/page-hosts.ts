// Hosts for tests of the page: without engines, they answer what the test lets them, and tell what would run there.
import { createHash } from 'node:crypto'
import {
  type Command,
  type Inventory,
  type InventoryContainer,
  type LogEntry,
  type LogsOpenMessage,
  logCostOf,
  type RunOutcome,
  runOutcome,
  type VerifyKey
} from '@longshore/protocol'
import { type Client, enrol, helloOf, newMachine } from './agent-client.ts'
import { connectAnswering, obedient } from './answering-agent.ts'

export type PageHost = {
  client: Client
  /** Commands of that kind are reported on only when the gate is opened; undefined: at once. */
  gate: { kind: Command['body']['kind']; opened: Promise<void> } | undefined
  /** The one that waits at the gate. */
  waiting: Command | undefined
  /** Logs that are read of it, by number. */
  logs: Map<number, { asked: LogsOpenMessage; grantedBytes: number }>
  /** Writes into every log that is read. @returns whether all of them had been granted so much */
  write(entries: LogEntry[]): boolean
}

/** Each tag is another image. */
const resolved = (tag: string | null): RunOutcome => {
  const digest = `sha256:${createHash('sha256')
    .update(tag ?? '')
    .digest('hex')}`
  return runOutcome.parse({
    status: 'succeeded',
    result: { kind: 'resolve', digest },
    serving: 'none',
    release: null
  })
}

const gibibyte = 1024 ** 3

const containerOf = ({
  body,
  environment,
  service,
  deployment,
  id
}: Command): InventoryContainer | undefined => {
  if (body.kind !== 'release') return undefined
  return {
    id: id.slice(-12),
    name: `${service}-r${body.release}-0`,
    environment,
    service,
    release: body.release,
    index: 0,
    deployment,
    state: 'running',
    health: 'healthy',
    restartCount: 0,
    startedAtMs: Date.now(),
    exitCode: null,
    image: body.image.digest,
    isKept: false,
    specHash: '',
    role: 'serving',
    changes: []
  }
}

export const startPageHost = async (
  url: string,
  hostName: string,
  joinToken: string,
  trusted: { installation: string; key: VerifyKey }
): Promise<PageHost> => {
  const machine = await newMachine(hostName)
  await enrol(url, machine, joinToken)
  let containers: InventoryContainer[] = []
  const cancelled = new Set<string>()
  const tell = (): void => {
    const inventory: Inventory = {
      ...helloOf(hostName).inventory,
      containers,
      diskFreeBytes: 12 * gibibyte,
      diskTotalBytes: 40 * gibibyte,
      load: 0.25,
      memoryFreeBytes: 3 * gibibyte
    }
    host.client.send([{ type: 'inventory', inventory }])
  }
  const logs: PageHost['logs'] = new Map()
  const host: PageHost = {
    gate: undefined,
    waiting: undefined,
    logs,
    write: (entries) => {
      const costBytes = entries.reduce((sum, entry) => sum + logCostOf(entry), 0)
      if ([...logs.values()].some(({ grantedBytes }) => grantedBytes < costBytes)) return false
      for (const [stream, log] of logs) {
        log.grantedBytes -= costBytes
        host.client.send([{ type: 'logs.data', stream, entries }])
      }
      return true
    },
    client: await connectAnswering(
      url,
      machine,
      trusted,
      async (command) => {
        if (host.gate?.kind === command.body.kind) {
          host.waiting = command
          await host.gate.opened
        }
        const made = containerOf(command)
        if (made !== undefined && !cancelled.has(command.id)) {
          containers = [...containers.filter(({ service }) => service !== made.service), made]
          tell()
        }
        return command.body.kind === 'resolve' ? resolved(command.body.image.tag) : obedient(command)
      },
      ({ id, body }) => {
        cancelled.add(id)
        return {
          status: 'failed',
          error: {
            code: 'cancelled',
            detail: 'it was cancelled',
            step: null,
            log: ['\u001b[31mbye\u001b[0m\u202e']
          },
          serving: body.kind === 'release' ? 'old' : 'none',
          release: null
        }
      },
      (message) => {
        if (message.type === 'logs.open')
          logs.set(message.stream, { asked: message, grantedBytes: message.grant })
        if (message.type === 'logs.close') logs.delete(message.stream)
        const granted = message.type === 'logs.grant' ? logs.get(message.stream) : undefined
        if (message.type === 'logs.grant' && granted !== undefined) granted.grantedBytes += message.bytes
      }
    )
  }
  tell()
  return host
}
