// Join tokens and API tokens. A join token belongs to an environment; an API token to everything that it allows.
import { tokenId } from '@longshore/protocol'
import * as z from 'zod'
import { ApiError } from '../../../api/errors.ts'
import {
  apiTokenView,
  createApiToken,
  createdToken,
  createJoinToken,
  joinTokenView
} from '../../../api/schemas.ts'
import { mayManageToken } from '../../../core/access/permissions.ts'
import { callerOf, demand, may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const byId = z.object({ id: tokenId })
const need = (environment: string) => ({ verb: 'tokens' as const, environment, service: '*' })

export const addTokenRoutes = ({ app, services: { tokens } }: RouteScope): void => {
  const filters = { access: { kind: 'filters' as const, verb: 'tokens' as const } }
  const demands = { access: { kind: 'demands' as const, verb: 'tokens' as const } }
  app.get(
    '/v1/join-tokens',
    { config: filters, schema: { response: { 200: z.array(joinTokenView) } } },
    async (request) => (await tokens.joinTokens()).filter((token) => may(request, need(token.environment)))
  )
  app.post(
    '/v1/join-tokens',
    { config: demands, schema: { body: createJoinToken, response: { 201: createdToken } } },
    async (request, reply) => {
      demand(request, need(request.body.environment))
      reply.code(201)
      return tokens.createJoinToken(callerOf(request), request.body)
    }
  )
  app.delete(
    '/v1/join-tokens/:id',
    { config: demands, schema: { params: byId, response: { 204: z.null() } } },
    async (request, reply) => {
      const { id } = request.params
      const token = (await tokens.joinTokens()).find((one) => one.id === id)
      if (token === undefined) throw new ApiError('unknown-token', `there is no join token ${id}`)
      demand(request, need(token.environment))
      await tokens.revokeJoinToken(callerOf(request), id)
      return reply.code(204).send(null)
    }
  )
  app.get(
    '/v1/api-tokens',
    { config: filters, schema: { response: { 200: z.array(apiTokenView) } } },
    async (request) => {
      const { allow } = callerOf(request)
      return (await tokens.apiTokens()).filter((token) => mayManageToken(allow, token.allow))
    }
  )
  app.post(
    '/v1/api-tokens',
    { config: demands, schema: { body: createApiToken, response: { 201: createdToken } } },
    async (request, reply) => {
      reply.code(201)
      return tokens.createApiToken(callerOf(request), request.body)
    }
  )
  app.delete(
    '/v1/api-tokens/:id',
    { config: demands, schema: { params: byId, response: { 204: z.null() } } },
    async (request, reply) => {
      await tokens.revokeApiToken(callerOf(request), request.params.id)
      return reply.code(204).send(null)
    }
  )
}
