// Live events: of one deployment until it has ended, and of everything that the token may read. A stream listens
// before it takes its snapshot, so that nothing falls between the two; events repeated by this are harmless, each
// says how things are, not what changed.
import { deploymentId } from '@longshore/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import * as z from 'zod'
import { hidePlanValues, hideTarget } from '../../../api/hidden-values.ts'
import type { AgentView, DeploymentView, StreamEvent } from '../../../api/schemas.ts'
import { isAllowed, isReadableBy } from '../../../core/access/permissions.ts'
import { callerOf } from '../access.ts'
import type { RouteScope, Services } from '../create-app.ts'
import type { EventResponse } from '../event-response.ts'

export const addEventRoutes = ({ app, services, responses }: RouteScope): void => {
  const begin = (request: FastifyRequest, reply: FastifyReply, stream: HeldBack): EventResponse => {
    const caller = callerOf(request)
    try {
      // a stream may outlive the token that asked for it: asked again as long as it lasts
      return responses.begin(reply, caller.actor.id, stream.stop, () => services.callers.isGood(caller))
    } catch (error) {
      return stream.giveUp(error)
    }
  }
  app.get(
    '/v1/deployments/:id/events',
    {
      config: { access: { kind: 'demands', verb: 'read' } },
      schema: { params: z.object({ id: deploymentId }), produces: ['text/event-stream'] }
    },
    async (request, reply) => {
      const { id } = request.params
      const show = hiderFor(callerOf(request).allow)
      const stream = holdBack(services, (event) => idOf(event) === id, show)
      const isReadable = (one: DeploymentView): boolean => isReadableBy(callerOf(request).allow, one)
      const snapshot = await services.deployments.view(id, isReadable).catch(stream.giveUp)
      const response = begin(request, reply, stream)
      const at = new Date(services.clock.nowMs()).toISOString()
      response.send(show({ type: 'deployment', at, deployment: snapshot }), stream.sinceId)
      if (snapshot.phase === 'ended') {
        response.send(show({ type: 'ended', at, deployment: snapshot }), stream.sinceId)
        response.end()
        return
      }
      stream.flow(response, { endsWithDeployment: true })
    }
  )
  app.get(
    '/v1/events',
    {
      config: { access: { kind: 'filters', verb: 'read' } },
      schema: { produces: ['text/event-stream'] }
    },
    async (request, reply) => {
      const isReadable = readableBy(callerOf(request).allow)
      const show = hiderFor(callerOf(request).allow)
      const stream = holdBack(services, isReadable, show)
      const missed = services.events.since(String(request.headers['last-event-id'] ?? ''))
      const snapshot = (await takeSnapshot(services).catch(stream.giveUp)).filter(isReadable)
      const response = begin(request, reply, stream)
      // the snapshot was looked at all the same: it says which deployments the small events are of
      const first =
        missed?.filter(({ event }) => isReadable(event)) ??
        snapshot.map((event) => ({ event, id: stream.sinceId }))
      for (const { event, id } of first) {
        response.send(show(event), id)
        await response.room()
      }
      stream.flow(response)
    }
  )
}

/**
 * Events from now on, kept until there is a response to send them to.
 * @param isWanted asked in the order of sending: what it lets pass may depend on what was sent before, the snapshot
 *   included
 * @param show what may be seen of an event
 */
const holdBack = (
  { events }: Services,
  isWanted: (event: StreamEvent) => boolean,
  show: (event: StreamEvent) => StreamEvent
) => {
  let response: EventResponse | undefined
  let isOneDeployment = false
  const held: { event: StreamEvent; id: string }[] = []
  const sinceId = events.lastId
  const send = (to: EventResponse, event: StreamEvent, id: string): void => {
    if (!isWanted(event)) return
    to.send(show(event), id)
    if (event.type === 'ended' && isOneDeployment) to.end()
  }
  const stop = events.listen((event, id) => {
    if (response === undefined) held.push({ event, id })
    else send(response, event, id)
  })
  return {
    stop,
    /** The last event before the listening began. */
    sinceId,
    giveUp: (error: unknown): never => {
      stop()
      throw error
    },
    flow: (to: EventResponse, options: { endsWithDeployment?: boolean } = {}): void => {
      isOneDeployment = options.endsWithDeployment ?? false
      response = to
      for (const { event, id } of held.splice(0)) send(to, event, id)
    }
  }
}

type HeldBack = ReturnType<typeof holdBack>

const takeSnapshot = async ({ fleet, deployments, clock }: Services): Promise<StreamEvent[]> => {
  const [agents, active] = await Promise.all([fleet.agents(), deployments.list({ isEnded: false })])
  const at = new Date(clock.nowMs()).toISOString()
  const ofAgent = (agent: AgentView): StreamEvent => ({ type: 'agent', at, agent })
  const ofDeployment = (deployment: DeploymentView): StreamEvent => ({ type: 'deployment', at, deployment })
  return [...agents.map(ofAgent), ...active.map(ofDeployment)]
}

const idOf = (event: StreamEvent): string | undefined => {
  if (event.type === 'agent') return undefined
  return event.type === 'deployment' || event.type === 'ended' ? event.deployment.id : event.id
}

/** Small events name only their deployment: whether it is readable was said by the last large one. */
const readableBy = (allow: Parameters<typeof isAllowed>[0]): ((event: StreamEvent) => boolean) => {
  const readable = new Set<string>()
  return (event) => {
    if (event.type === 'agent') {
      return isAllowed(allow, { verb: 'read', environment: event.agent.environment, service: '*' })
    }
    if (event.type !== 'deployment' && event.type !== 'ended') return readable.has(event.id)
    const { id } = event.deployment
    const isReadable = isReadableBy(allow, event.deployment)
    if (isReadable && event.type === 'deployment') readable.add(id)
    else readable.delete(id)
    return isReadable
  }
}

/** Values of environments in plans: small events name only their deployment, whose environment the last large one said. */
const hiderFor = (allow: Parameters<typeof isAllowed>[0]): ((event: StreamEvent) => StreamEvent) => {
  const environments = new Map<string, string>()
  const isShown = (environment: string, service: string): boolean =>
    isAllowed(allow, { verb: 'read-values', environment, service })
  return (event) => {
    if (event.type === 'deployment' || event.type === 'ended') {
      const { id, environment } = event.deployment
      if (event.type === 'deployment') environments.set(id, environment)
      else environments.delete(id)
      return { ...event, deployment: hidePlanValues(event.deployment, (one) => isShown(environment, one)) }
    }
    if (event.type !== 'target' || event.target.plan === undefined) return event
    const environment = environments.get(event.id)
    if (environment !== undefined && isShown(environment, event.target.service)) return event
    return { ...event, target: hideTarget(event.target) }
  }
}
