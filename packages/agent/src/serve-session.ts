// What the agent does in a session: says who it is, hands commands to the runs in the order they came, lets
// reporter and inventory speak. Knows neither sockets nor Docker.
import {
  type CommandMessage,
  type DeliveredDown,
  type EncryptionJwk,
  type Facts,
  type HelloMessage,
  limits,
  type PolicySummary,
  type WelcomeMessage
} from '@longshore/protocol'
import type { ControllerClock } from './controller-clock.ts'
import type { ControllerKeys } from './controller-keys.ts'
import { hostSkewOf, isNotableSkew } from './core/controller-time.ts'
import type { Identity } from './identity.ts'
import type { InventoryWatch } from './inventory.ts'
import type { Log } from './link.ts'
import { isLogMessage, type LogMessage, type Logs } from './logs.ts'
import type { Clock, Runs } from './ports.ts'
import type { Reporter } from './reporter.ts'
import type { Session, SessionListener } from './session.ts'
import { takeCommand } from './take-command.ts'

export type AgentParts = {
  clock: Clock
  controllerClock: ControllerClock
  log: Log
  runs: Pick<Runs, 'receive' | 'cancel' | 'marks' | 'inFlight'>
  reporter: Reporter
  inventory: InventoryWatch
  logs: Logs
  keys: () => ControllerKeys
  identity: () => Identity
  self: {
    version: string
    hostName: string
    facts: () => Facts
    policy: () => PolicySummary
    encryptionKey: EncryptionJwk
  }
}

/** One for the life of the process; sessions follow each other on it. */
export const serveSessions = (
  parts: AgentParts
): SessionListener & { disconnected(): void; idle(): Promise<void> } => {
  const { clock, controllerClock, log, runs, reporter, inventory, logs } = parts
  let session: Session | undefined
  // answers go to the session that is there when they are ready: the controller knows commands by id
  let taking = Promise.resolve()

  const answer = async (message: CommandMessage): Promise<void> => {
    const { installation, agent } = parts.identity()
    const context = { keyOf: parts.keys().find, installation, agent, runs, log }
    const reply = await takeCommand(context, message, controllerClock.nowMs)
    if (reply !== undefined) session?.queue([reply])
  }
  const handle = async (message: Exclude<DeliveredDown, LogMessage>): Promise<void> => {
    switch (message.type) {
      case 'command':
        return answer(message)
      case 'cancel':
        return runs.cancel(message.command)
      case 'ack':
        return reporter.acknowledged(message.reportsUpTo)
      case 'keys':
        return parts.keys().follow(message.chain)
      default:
        return message satisfies never
    }
  }

  return {
    async greet(welcome) {
      controllerClock.told(welcome.nowMs)
      const skewMs = hostSkewOf(welcome.nowMs, clock.nowMs())
      if (isNotableSkew(skewMs))
        log.warn({ clockSkewMs: skewMs }, "the host's clock differs from the controller's")
      return hello(parts, skewMs)
    },
    established(next: Session, welcome: WelcomeMessage) {
      session = next
      logs.attach(next)
      const { agent, environment } = welcome
      log.info({ agent, environment, session: welcome.session }, 'connected')
      taking = taking
        .then(() => reporter.acknowledged(welcome.reportsUpTo))
        .catch((error: unknown) => log.error({ err: error }, 'an acknowledgement was not stored'))
        .then(() => {
          if (session !== next) return
          reporter.attach(next)
          inventory.attach((picture) => next.queue([{ type: 'inventory', inventory: picture }]))
        })
    },
    delivered(messages) {
      for (const message of messages) {
        // beside everything else: neither waits for the other
        if (isLogMessage(message)) {
          logs.received(message)
          continue
        }
        taking = taking
          .then(() => handle(message))
          .catch((error: unknown) =>
            log.error({ err: error, type: message.type }, 'a message was not carried out')
          )
      }
    },
    disconnected() {
      session = undefined
      reporter.detach()
      logs.detach()
      inventory.detach()
    },
    /** Resolves when everything delivered before was taken. */
    idle: () => taking
  }
}

const hello = async (parts: AgentParts, clockSkewMs: number): Promise<HelloMessage> => ({
  type: 'hello',
  agentVersion: parts.self.version,
  hostName: parts.self.hostName,
  facts: parts.self.facts(),
  policy: parts.self.policy(),
  inventory: await parts.inventory.look(),
  marks: parts.runs.marks().slice(0, 1000),
  runs: parts.runs.inFlight().slice(0, limits.maxPendingCommandsPerHost),
  clockSkewMs,
  encryptionKey: parts.self.encryptionKey
})
