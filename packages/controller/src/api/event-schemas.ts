// One line of `--output ndjson` and one server-sent event. `at` is RFC 3339. An event says how things are, not what
// changed.
import { deploymentId, hostName, serviceName } from '@longshore/protocol'
import * as z from 'zod'
import { deploymentView, phase, progressView, targetView } from './deployment-schemas.ts'
import { agentView } from './fleet-schemas.ts'

const stamped = { at: z.string() }
export const deploymentEvent = z.discriminatedUnion('type', [
  z.object({ ...stamped, type: z.literal('deployment'), deployment: deploymentView }),
  z.object({
    ...stamped,
    type: z.literal('phase'),
    id: deploymentId,
    phase,
    batch: z.int().nullable(),
    /** Whose batch, or whose release command; absent where the phase is of all services. */
    service: serviceName.optional()
  }),
  z.object({ ...stamped, type: z.literal('target'), id: deploymentId, target: targetView }),
  z.object({
    ...stamped,
    type: z.literal('progress'),
    id: deploymentId,
    /** Absent: the only service. */
    service: serviceName.optional(),
    host: hostName,
    progress: progressView
  }),
  /** Output of the release command, as it comes. */
  z.object({
    ...stamped,
    type: z.literal('log'),
    id: deploymentId,
    service: serviceName,
    host: hostName,
    lines: z.array(z.string())
  }),
  z.object({ ...stamped, type: z.literal('warning'), id: deploymentId, text: z.string() }),
  z.object({ ...stamped, type: z.literal('ended'), deployment: deploymentView })
])
export type DeploymentEvent = z.infer<typeof deploymentEvent>
/** What every event has, also one of a kind that is not known here. */
export const eventHead = z.object({ ...stamped, type: z.string() })
export const deploymentEventTypes: readonly string[] = deploymentEvent.options.flatMap(
  ({ shape }) => shape.type.value
)
export const agentEvent = z.object({ ...stamped, type: z.literal('agent'), agent: agentView })
export type AgentEvent = z.infer<typeof agentEvent>
export type StreamEvent = DeploymentEvent | AgentEvent
