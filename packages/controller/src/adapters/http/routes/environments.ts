// Environments: listed as far as the token may know them, made, set, removed.
import { environmentName } from '@longshore/protocol'
import * as z from 'zod'
import { createEnvironment, environmentSettings, environmentView } from '../../../api/schemas.ts'
import { callerOf, demand, knowable } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const params = z.object({ environment: environmentName })
const ofOne = {
  access: {
    kind: 'needs' as const,
    verb: 'environments' as const,
    of: ({ environment = '' }) => ({ environment, service: '*' })
  }
}

export const addEnvironmentRoutes = ({ app, services }: RouteScope): void => {
  app.get(
    '/v1/environments',
    {
      config: { access: { kind: 'filters', verb: 'read' } },
      schema: { response: { 200: z.array(environmentView) } }
    },
    async (request) => {
      const all = await services.fleet.environments()
      const names = knowable(
        request,
        all.map((environment) => environment.name)
      )
      return all.filter((environment) => names.includes(environment.name))
    }
  )
  app.post(
    '/v1/environments',
    {
      config: { access: { kind: 'demands', verb: 'environments' } },
      schema: { body: createEnvironment, response: { 201: environmentView } }
    },
    async (request, reply) => {
      const { name } = request.body
      demand(request, { verb: 'environments', environment: name, service: '*' })
      reply.code(201)
      return services.fleet.createEnvironment(callerOf(request).actor, name)
    }
  )
  app.patch(
    '/v1/environments/:environment',
    { config: ofOne, schema: { params, body: environmentSettings, response: { 200: environmentView } } },
    async (request) => {
      const { environment } = request.params
      const view = await services.fleet.setEnvironment(callerOf(request).actor, environment, request.body)
      services.deployments.environmentChanged(environment)
      return view
    }
  )
  app.delete(
    '/v1/environments/:environment',
    {
      config: ofOne,
      schema: { params, response: { 204: z.null() } }
    },
    async (request, reply) => {
      await services.fleet.removeEnvironment(callerOf(request).actor, request.params.environment)
      return reply.code(204).send(null)
    }
  )
}
