// Deployments, releases and status. What a deployment does is the engine's; here only who may ask.
import { deploymentId, environmentName, serviceName } from '@longshore/protocol'
import type { FastifyRequest } from 'fastify'
import * as z from 'zod'
import { ApiError } from '../../../api/errors.ts'
import { hidePlanValues } from '../../../api/hidden-values.ts'
import {
  type DeploymentView,
  deploymentView,
  deployRequest,
  hostImages,
  releaseView,
  statusView,
  type Verb
} from '../../../api/schemas.ts'
import { isReadableBy } from '../../../core/access/permissions.ts'
import { readableRows } from '../../../core/access/readable-rows.ts'
import { needsOf } from '../../../core/requests/wishes.ts'
import { callerOf, demandAll, may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const byId = z.object({ id: deploymentId })
const ofService = z.object({ environment: environmentName.optional(), service: serviceName.optional() })
const limit = z.coerce.number().int().min(1).max(1000).default(50)
const isActive = z.stringbool().optional()

type Named = { environment: string; service: string }
const mayRead = (request: FastifyRequest, { environment, service }: Named): boolean =>
  may(request, { verb: 'read', environment, service })
const shown = (request: FastifyRequest, view: DeploymentView): DeploymentView =>
  hidePlanValues(view, (service) =>
    may(request, { verb: 'read-values', environment: view.environment, service })
  )

export const addDeploymentRoutes = ({ app, services: { deployments, fleet } }: RouteScope): void => {
  const filterOf = async ({ environment, service }: z.infer<typeof ofService>) => {
    if (environment !== undefined) await fleet.requireEnvironment(environment)
    return { ...(environment && { environment }), ...(service && { service }) }
  }
  /** @throws ApiError `unknown-service`: an empty answer would look as if there were no services at all */
  const demandSomeService = async ({ environment, service }: z.infer<typeof ofService>): Promise<void> => {
    if (service === undefined) return
    const all = await deployments.status(environment === undefined ? {} : { environment })
    const existing = all.map((one) => ({
      name: one.service,
      environment: one.environment,
      services: [one.service]
    }))
    const where = environment === undefined ? '' : ` in ${environment}`
    throw new ApiError('unknown-service', `there is no service ${service}${where}`, { existing })
  }
  const find = (request: FastifyRequest, id: string): Promise<DeploymentView> =>
    deployments.view(id, (one) => isReadableBy(callerOf(request).allow, one))
  /** The verb over all services of a deployment. */
  const demandOver = async (request: FastifyRequest, id: string, verb: Verb): Promise<void> => {
    const { environment, services } = await find(request, id)
    demandAll(
      request,
      services.map(({ service }) => ({ verb, environment, service }))
    )
  }
  const filters = { access: { kind: 'filters' as const, verb: 'read' as const } }

  app.post(
    '/v1/deployments',
    {
      config: { access: { kind: 'demands', verb: 'deploy' } },
      schema: { body: deployRequest, response: { 202: deploymentView } }
    },
    async (request, reply) => {
      demandAll(request, needsOf(request.body))
      reply.code(202)
      return shown(request, await deployments.request(callerOf(request).actor, request.body))
    }
  )
  app.get(
    '/v1/deployments',
    {
      config: filters,
      schema: {
        querystring: ofService.extend({ limit, active: isActive }),
        response: { 200: z.array(deploymentView) }
      }
    },
    async (request) => {
      const { limit: most, active } = request.query
      const isEnded = active === undefined ? {} : { isEnded: !active }
      const readable = readableRows(callerOf(request).allow)
      const filter = { ...(await filterOf(request.query)), ...isEnded, limit: most, readable }
      return (await deployments.list(filter)).map((one) => shown(request, one))
    }
  )
  app.get(
    '/v1/deployments/:id',
    {
      config: { access: { kind: 'demands', verb: 'read' } },
      schema: { params: byId, response: { 200: deploymentView } }
    },
    async (request) => shown(request, await find(request, request.params.id))
  )
  app.post(
    '/v1/deployments/:id/cancel',
    {
      config: { access: { kind: 'demands', verb: 'cancel' } },
      schema: { params: byId, response: { 202: deploymentView } }
    },
    async (request, reply) => {
      const { id } = request.params
      await demandOver(request, id, 'cancel')
      reply.code(202)
      return shown(request, await deployments.cancel(callerOf(request).actor, id))
    }
  )
  app.post(
    '/v1/deployments/:id/resume',
    {
      config: { access: { kind: 'demands', verb: 'deploy' } },
      schema: { params: byId, response: { 202: deploymentView } }
    },
    async (request, reply) => {
      const { id } = request.params
      await demandOver(request, id, 'deploy')
      reply.code(202)
      return shown(request, await deployments.resume(callerOf(request).actor, id))
    }
  )
  app.get(
    '/v1/releases',
    {
      config: filters,
      schema: { querystring: ofService.extend({ limit }), response: { 200: z.array(releaseView) } }
    },
    async (request) => {
      const readable = readableRows(callerOf(request).allow)
      const { limit: most } = request.query
      return deployments.releases({ ...(await filterOf(request.query)), limit: most, readable })
    }
  )
  app.get(
    '/v1/status',
    { config: filters, schema: { querystring: ofService, response: { 200: z.array(statusView) } } },
    async (request) => {
      const found = await deployments.status(await filterOf(request.query))
      const readable = found.filter((one) => mayRead(request, one))
      if (readable.length === 0) await demandSomeService(request.query)
      return readable
    }
  )
  app.get(
    '/v1/images',
    { config: filters, schema: { querystring: ofService, response: { 200: z.array(hostImages) } } },
    async (request) => {
      const hosts = await deployments.images(await filterOf(request.query))
      return hosts.flatMap((host) => {
        const { environment, images } = host
        const readable = images?.filter(({ service }) => mayRead(request, { environment, service })) ?? null
        return readable?.length || mayRead(request, { environment, service: '*' })
          ? [{ ...host, images: readable }]
          : []
      })
    }
  )
}
