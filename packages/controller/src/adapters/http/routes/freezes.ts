// Freezes of an environment or of one service: set and taken away. A whole environment needs the right over all of
// its services.
import { environmentName, serviceName } from '@longshore/protocol'
import * as z from 'zod'
import { freezeAnswer, freezeRequest } from '../../../api/schemas.ts'
import { callerOf, demand } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const path = '/v1/environments/:environment/freeze'
const params = z.object({ environment: environmentName })
const need = (environment: string, service: string | null) => ({
  verb: 'lock' as const,
  environment,
  service: service ?? '*'
})

export const addFreezeRoutes = ({ app, services: { freezes } }: RouteScope): void => {
  const config = { access: { kind: 'demands' as const, verb: 'lock' as const } }
  app.put(
    path,
    { config, schema: { params, body: freezeRequest, response: { 200: freezeAnswer } } },
    async (request) => {
      const { environment } = request.params
      demand(request, need(environment, request.body.service))
      return freezes.freeze(callerOf(request).actor, environment, request.body)
    }
  )
  app.delete(
    path,
    {
      config,
      schema: {
        params,
        /** Left out: the freeze of the whole environment. */
        querystring: z.object({ service: serviceName.optional() }),
        response: { 204: z.null() }
      }
    },
    async (request, reply) => {
      const { environment } = request.params
      const service = request.query.service ?? null
      demand(request, need(environment, service))
      await freezes.unfreeze(callerOf(request).actor, environment, service)
      return reply.code(204).send(null)
    }
  )
}
