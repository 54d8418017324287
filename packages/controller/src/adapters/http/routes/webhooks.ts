// Webhooks: made, listed, tested, removed by those who have the verb over every environment they tell of.
import type { EnvironmentName } from '@longshore/protocol'
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { createdWebhook, createWebhook, testedWebhook, webhookView } from '../../../api/schemas.ts'
import { callerOf, demand, may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

/** A webhook's id or its name. */
const byId = z.object({ id: z.string().min(1).max(100) })

/** Without environments it tells of all of them. */
const needsOf = ({ environments }: { environments: readonly EnvironmentName[] }) =>
  (environments.length === 0 ? ['*'] : environments).map((environment) => ({
    verb: 'webhooks' as const,
    environment,
    service: '*'
  }))
const mayManage =
  (request: FastifyRequest) =>
  (one: { environments: readonly EnvironmentName[] }): boolean =>
    needsOf(one).every((need) => may(request, need))

export const addWebhookRoutes = ({ app, services: { webhooks } }: RouteScope): void => {
  const demands = { access: { kind: 'demands' as const, verb: 'webhooks' as const } }
  app.get(
    '/v1/webhooks',
    {
      config: { access: { kind: 'filters', verb: 'webhooks' } },
      schema: { response: { 200: z.array(webhookView) } }
    },
    async (request) => (await webhooks.list()).filter(mayManage(request))
  )
  app.post(
    '/v1/webhooks',
    { config: demands, schema: { body: createWebhook, response: { 201: createdWebhook } } },
    async (request, reply) => {
      for (const need of needsOf(request.body)) demand(request, need)
      reply.code(201)
      return webhooks.create(callerOf(request).actor, request.body)
    }
  )
  app.post(
    '/v1/webhooks/:id/test',
    { config: demands, schema: { params: byId, response: { 200: testedWebhook } } },
    async (request) => {
      const { id } = await webhooks.find(request.params.id, mayManage(request))
      return webhooks.test(callerOf(request).actor, id)
    }
  )
  app.delete(
    '/v1/webhooks/:id',
    { config: demands, schema: { params: byId, response: { 204: z.null() } } },
    async (request, reply) => {
      const { id } = await webhooks.find(request.params.id, mayManage(request))
      await webhooks.remove(callerOf(request).actor, id)
      return reply.code(204).send(null)
    }
  )
}
