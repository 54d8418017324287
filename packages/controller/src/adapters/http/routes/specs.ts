// Specs: applied and read by environment and service.
import { environmentName, serviceName } from '@longshore/protocol'
import * as z from 'zod'
import { applyAnswer, applyRequest, specView, type Verb } from '../../../api/schemas.ts'
import { callerOf, may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const params = z.object({ environment: environmentName, service: serviceName })
const path = '/v1/environments/:environment/services/:service/spec'

export const addSpecRoutes = ({ app, services: { specs } }: RouteScope): void => {
  const needs = (verb: Verb) => ({
    access: {
      kind: 'needs' as const,
      verb,
      of: ({ environment = '', service = '' }) => ({ environment, service })
    }
  })
  app.put(
    path,
    { config: needs('apply'), schema: { params, body: applyRequest, response: { 200: applyAnswer } } },
    async (request) =>
      specs.apply(callerOf(request).actor, request.params, request.body.spec, request.body.dryRun)
  )
  app.get(
    path,
    {
      config: needs('read'),
      schema: {
        params,
        querystring: z.object({ revision: z.coerce.number().int().min(1).optional() }),
        response: { 200: specView }
      }
    },
    async (request) => specs.view(request.params, request.query.revision)
  )
  app.get(
    '/v1/specs',
    {
      config: { access: { kind: 'filters', verb: 'read' } },
      schema: {
        querystring: z.object({ environment: environmentName.optional(), service: serviceName.optional() }),
        response: { 200: z.array(specView) }
      }
    },
    async (request) => {
      const { environment, service } = request.query
      const filter = { ...(environment && { environment }), ...(service && { service }) }
      const found = await specs.list(filter)
      return found.filter((spec) =>
        may(request, { verb: 'read', environment: spec.environment, service: spec.service })
      )
    }
  )
}
