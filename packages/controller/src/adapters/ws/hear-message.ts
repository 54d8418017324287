// One message of an admitted agent, handed to the part of the engine that it is for. A report is acknowledged only
// once it is durable.
import {
  type AgentId,
  type DeliveredUp,
  type LogsDataMessage,
  type QueuedDown,
  runReport,
  type VerifyKey,
  verifyJws
} from '@longshore/protocol'
import type { Deployments } from '../../engine/deployments.ts'
import type { Fleet } from '../../engine/fleet.ts'
import type { Presences } from '../../engine/presence.ts'
import type { LogReaders } from '../../engine/read-logs.ts'

/** What the gateway hands on to. */
export type Receivers = {
  fleet: Fleet
  deployments: Deployments
  presences: Presences
  logs: Pick<LogReaders, 'heard' | 'sessionBegan' | 'sessionEnded'>
}
/** Logs are handed on at once: they wait for nothing, and nothing for them. */
export type Heard = Exclude<DeliveredUp, LogsDataMessage>
export const isLogs = (message: DeliveredUp): message is LogsDataMessage => message.type === 'logs.data'
export type Speaker = { agent: AgentId; key: VerifyKey; answer: (messages: QueuedDown[]) => void }

/** @throws ProtocolError when a report is not signed by the agent */
export const hearMessage = async (
  { fleet, deployments, presences }: Receivers,
  { agent, key, answer }: Speaker,
  message: Heard
): Promise<void> => {
  switch (message.type) {
    case 'accepted':
      return deployments.accepted(agent, message.command)
    case 'refused':
      return deployments.refused(agent, message)
    case 'progress':
      return deployments.progress(agent, message)
    case 'report': {
      const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
      const report = await verifyJws('receipt', message.jws, keyOf, runReport)
      await deployments.reported(agent, report, message.jws)
      return answer([{ type: 'ack', reportsUpTo: await fleet.reportsUpTo(agent) }])
    }
    case 'inventory':
      presences.observed(agent, message.inventory)
      deployments.observed(agent, message.inventory)
      return presences.announce(agent)
    default:
      return message satisfies never
  }
}
