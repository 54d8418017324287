// Routes that ask for no API token, and what the controller says of itself.
import { ProtocolError } from '@longshore/protocol'
import * as z from 'zod'
import { ApiError } from '../../../api/errors.ts'
import {
  enrolRequest,
  enrolResponse,
  healthView,
  keysView,
  leaveRequest,
  serverInfo
} from '../../../api/schemas.ts'
import { isHarmless } from '../../../engine/count-failures.ts'
import { callerOf } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

export const addOpenRoutes = ({ app, services }: RouteScope): void => {
  const open = (because: string) => ({ access: { kind: 'open' as const, because } })
  app.get(
    '/healthz',
    { config: open('probes have no token'), schema: { response: { 200: healthView } } },
    async () => ({ status: 'ok' as const })
  )
  app.get(
    '/readyz',
    { config: open('probes have no token'), schema: { response: { 200: healthView } } },
    async () => {
      if (services.isStopping()) throw new ApiError('stopping', 'requests under way are being finished')
      return { status: 'ok' as const }
    }
  )
  app.get(
    '/v1/keys',
    { config: open('public keys, signed'), schema: { response: { 200: keysView } } },
    async () => ({ chain: [...services.installation.chain] })
  )
  app.get(
    '/v1/openapi.json',
    { config: open('says how to ask'), schema: { response: { 200: z.record(z.string(), z.unknown()) } } },
    async () => ({ ...app.swagger() })
  )
  app.get(
    '/v1/info',
    { config: { access: { kind: 'any-token' } }, schema: { response: { 200: serverInfo } } },
    async (request) => {
      const { actor, allow } = callerOf(request)
      return {
        version: services.version,
        installation: services.installation.id,
        nowMs: services.clock.nowMs(),
        caller: { name: actor.name, allow: [...allow] }
      }
    }
  )
  app.post(
    '/v1/agents/enrol',
    {
      config: open('the request is signed and carries a join token'),
      schema: { body: enrolRequest, response: { 200: enrolResponse } }
    },
    async ({ body, ip }) => {
      services.failures.demandPatience(ip)
      try {
        return { answer: await services.enrol(body.request, ip) }
      } catch (error) {
        if (error instanceof ProtocolError) {
          services.failures.count(ip)
          services.log.warn({ address: ip, code: error.code }, 'an enrolment was refused')
        }
        throw error
      }
    }
  )
  app.post(
    '/v1/agents/leave',
    {
      config: open('the request is signed by an agent'),
      schema: { body: leaveRequest, response: { 204: z.null() } }
    },
    async ({ body, ip }, reply) => {
      services.failures.demandPatience(ip)
      try {
        await services.fleet.leave(body.request, ip)
      } catch (error) {
        if (error instanceof ProtocolError && !isHarmless(error.code)) services.failures.count(ip)
        throw error
      }
      return reply.code(204).send(null)
    }
  )
}
