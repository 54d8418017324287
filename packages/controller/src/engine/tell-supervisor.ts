// What the supervisor that started the controller is told of it: that it is ready, how many hosts are connected, and
// signs of life for as long as the writer comes to an end with what it began. The protocol package words it.
import { createTeller, silentTeller, type Teller, type TellerPorts } from '@longshore/protocol'
import type { Clock, Log } from '../ports.ts'
import type { Writer } from './writer.ts'

export type SupervisorLink = {
  migrating(): void
  /** From here on signs of life need the writer. */
  ready(url: string, writer: Pick<Writer, 'idle'>): void
  connectedChanged(count: number): void
  stopping(why: string): void
}

/** Steps of the schema block the process; a large database on a slow disk takes minutes. */
const migrationLimitMs = 30 * 60_000

/** @param supervisor null: there is none, and nothing is told */
export const createSupervisorLink = (
  supervisor: Pick<TellerPorts, 'send' | 'signEveryMs'> | null,
  { steadyClock, log }: { steadyClock: Clock; log: Log }
): SupervisorLink => {
  let writer: Pick<Writer, 'idle'> | undefined
  let listening = 'starting'
  let connected = 0
  // what the database refuses comes to an end too: no restart makes room on a disk
  const prove = async (): Promise<null> => {
    await writer?.idle()
    return null
  }
  const after: TellerPorts['after'] = (delayMs, wake) => steadyClock.at(steadyClock.nowMs() + delayMs, wake)
  const teller: Teller =
    supervisor === null ? silentTeller : createTeller({ ...supervisor, after, log, prove })
  const status = (): string => `${listening}; ${connected} ${connected === 1 ? 'host' : 'hosts'} connected`
  return {
    migrating: () => teller.starting('bringing the database to this version', migrationLimitMs),
    ready: (url, given) => {
      writer = given
      listening = `listening on ${url}`
      teller.ready(status())
    },
    connectedChanged: (count) => {
      connected = count
      teller.status(status())
    },
    stopping: (why) => teller.stopping(why)
  }
}
