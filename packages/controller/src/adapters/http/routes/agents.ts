// Agents: listed, looked at, approved, revoked, removed. An agent belongs to its environment, so every right on it
// is a right on all services there.
import { environmentName } from '@longshore/protocol'
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { agentView, type Verb } from '../../../api/schemas.ts'
import type { AgentRow } from '../../../ports.ts'
import { callerOf, demand, may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const byName = z.object({ agent: z.string().min(1).max(253) })
const within = z.object({ environment: environmentName.optional() })
const need = (verb: Verb, environment: string) => ({ verb, environment, service: '*' })

export const addAgentRoutes = ({ app, services: { fleet } }: RouteScope): void => {
  const readable = async (request: FastifyRequest, environment: string | undefined): Promise<string[]> => {
    if (environment !== undefined) {
      demand(request, need('read', environment))
      await fleet.requireEnvironment(environment)
      return [environment]
    }
    const names = (await fleet.environments()).map((one) => one.name as string)
    return names.filter((name) => may(request, need('read', name)))
  }
  const find = async (
    request: FastifyRequest<{ Params: { agent: string }; Querystring: { environment?: string } }>,
    verb: Verb,
    preferred?: AgentRow['state']
  ): Promise<AgentRow> => {
    const environments = await readable(request, request.query.environment)
    const row = await fleet.find(request.params.agent, environments, preferred)
    demand(request, need(verb, row.environment))
    return row
  }

  app.get(
    '/v1/agents',
    {
      config: { access: { kind: 'filters', verb: 'read' } },
      schema: { querystring: within, response: { 200: z.array(agentView) } }
    },
    async (request) => {
      const environments = await readable(request, request.query.environment)
      return (await fleet.agents()).filter((agent) => environments.includes(agent.environment))
    }
  )
  const one = (verb: Verb) => ({ config: { access: { kind: 'demands' as const, verb } } })
  const schema = { params: byName, querystring: within }
  const answered = { ...schema, response: { 200: agentView } }
  app.get('/v1/agents/:agent', { ...one('read'), schema: answered }, async (request) =>
    fleet.view(await find(request as Parameters<typeof find>[0], 'read'))
  )
  app.post('/v1/agents/:agent/approve', { ...one('agents'), schema: answered }, async (request) =>
    fleet.approve(
      callerOf(request).actor,
      await find(request as Parameters<typeof find>[0], 'agents', 'held')
    )
  )
  app.post('/v1/agents/:agent/revoke', { ...one('agents'), schema: answered }, async (request) =>
    fleet.revoke(callerOf(request).actor, await find(request as Parameters<typeof find>[0], 'agents'))
  )
  app.delete(
    '/v1/agents/:agent',
    { ...one('agents'), schema: { ...schema, response: { 204: z.null() } } },
    async (request, reply) => {
      const row = await find(request as Parameters<typeof find>[0], 'agents')
      await fleet.remove(callerOf(request).actor, row)
      return reply.code(204).send(null)
    }
  )
}
