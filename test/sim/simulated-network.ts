// Sessions between the simulated agents and the controller: messages arrive late but in order, sometimes twice;
// a cut loses whatever was under way, and each end notices it in its own time. Nothing else is ever lost or
// reordered: the signed frames of the real session see to that.
import type {
  AcceptedMessage,
  AckMessage,
  CancelMessage,
  HelloMessage,
  Inventory,
  ProgressMessage,
  RefusedMessage,
  RunReport
} from '@longshore/protocol'
import type { SeededRandom } from './seeded-random.ts'
import type { ProcessClock } from './virtual-time.ts'

export type Up =
  | HelloMessage
  | AcceptedMessage
  | RefusedMessage
  | ProgressMessage
  | { type: 'report'; report: RunReport }
  | { type: 'inventory'; inventory: Inventory }
export type Down = { type: 'command'; jws: string } | CancelMessage | AckMessage

export type Direction<M> = { send(message: M): void }
export type SimulatedSession = { up: Direction<Up>; down: Direction<Down>; cut(): void; isCut(): boolean }

/** What becomes of a message that is being sent. */
export type Fate = 'arrives' | 'arrives-twice' | 'is-lost'
type Ends = {
  onUp(message: Up): void
  onDown(message: Down): void
  fateOf(direction: 'up' | 'down', type: string): Fate
}

export const openSession = (ends: Ends, clock: ProcessClock, random: SeededRandom): SimulatedSession => {
  let isCut = false
  const direction = <M extends { type: string }>(
    name: 'up' | 'down',
    arrive: (message: M) => void
  ): Direction<M> => {
    let lastArrivalMs = 0
    const deliver = (message: M): void => {
      lastArrivalMs = Math.max(lastArrivalMs, clock.nowMs() + random.integer(1, 40))
      clock.at(lastArrivalMs, () => {
        if (!isCut) arrive(message)
      })
    }
    return {
      send: (message) => {
        if (isCut) return
        const fate = ends.fateOf(name, message.type)
        if (fate === 'is-lost') return
        deliver(message)
        if (fate === 'arrives-twice') deliver(message)
      }
    }
  }
  return {
    up: direction('up', ends.onUp),
    down: direction('down', ends.onDown),
    cut: () => {
      isCut = true
    },
    isCut: () => isCut
  }
}
