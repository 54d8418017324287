// Specs: applied and read by environment and service. Values of their environment only for those who may read them.
import { environmentName, serviceName } from '@longshore/protocol'
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { hideSpecValues } from '../../../api/hidden-values.ts'
import { applyAnswer, applyRequest, type SpecView, specView, type Verb } from '../../../api/schemas.ts'
import type { SpecRow } from '../../../ports.ts'
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
    async (request) => shown(request, await specs.view(request.params, request.query.revision))
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
      const { environment: ofOne, service: named } = request.query
      const found = await specs.list({
        ...(ofOne && { environment: ofOne }),
        ...(named && { service: named })
      })
      return found
        .filter(({ environment, service }) => may(request, { verb: 'read', environment, service }))
        .map((one) => shown(request, one))
    }
  )
}

const shown = (request: FastifyRequest, view: SpecRow): SpecView => {
  const { environment, service, spec } = view
  if (may(request, { verb: 'read-values', environment, service })) return { ...view, isHidden: false }
  return { ...view, spec: hideSpecValues(spec), isHidden: true }
}
