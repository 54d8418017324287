// Logins to registries: set, listed, removed. They belong to no environment.
import { parseRegistryName } from '@longshore/protocol'
import * as z from 'zod'
import { loginRegistry, registryView } from '../../../api/schemas.ts'
import { callerOf, type RouteAccess } from '../access.ts'
import type { RouteScope } from '../create-app.ts'

const access: RouteAccess = {
  kind: 'needs',
  verb: 'registries',
  of: () => ({ environment: '*', service: '*' })
}
const byHost = z.object({ host: z.string().min(1).max(300) })
/** What is no name may have a password in it. */
const subjectOf = ({ host = '' }: Record<string, string>): string =>
  parseRegistryName(host) ?? 'what is no registry'

export const addRegistryRoutes = ({ app, services: { registries } }: RouteScope): void => {
  app.get(
    '/v1/registries',
    { config: { access }, schema: { response: { 200: z.array(registryView) } } },
    () => registries.list()
  )
  app.post(
    '/v1/registries',
    { config: { access }, schema: { body: loginRegistry, response: { 200: registryView } } },
    (request) => registries.login(callerOf(request).actor, request.body)
  )
  app.delete(
    '/v1/registries/:host',
    { config: { access, subjectOf }, schema: { params: byHost, response: { 204: z.null() } } },
    async (request, reply) => {
      await registries.logout(callerOf(request).actor, request.params.host)
      return reply.code(204).send(null)
    }
  )
}
