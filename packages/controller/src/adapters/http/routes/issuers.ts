// Issuers of ID tokens: set, listed, removed, by whoever may make API tokens that allow as much.
import * as z from 'zod'
import { issuerName, issuerView, setIssuer } from '../../../api/schemas.ts'
import { callerOf, type RouteAccess } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const byName = z.object({ name: issuerName })
const demands: { access: RouteAccess } = { access: { kind: 'demands', verb: 'tokens' } }

export const addIssuerRoutes = ({ app, services: { issuers } }: RouteScope): void => {
  app.get(
    '/v1/issuers',
    {
      config: { access: { kind: 'filters', verb: 'tokens' } },
      schema: { response: { 200: z.array(issuerView) } }
    },
    (request) => issuers.list(callerOf(request))
  )
  app.put(
    '/v1/issuers/:name',
    { config: demands, schema: { params: byName, body: setIssuer, response: { 200: issuerView } } },
    (request) => issuers.set(callerOf(request), request.params.name, request.body)
  )
  app.delete(
    '/v1/issuers/:name',
    { config: demands, schema: { params: byName, response: { 204: z.null() } } },
    async (request, reply) => {
      await issuers.remove(callerOf(request), request.params.name)
      return reply.code(204).send(null)
    }
  )
}
