// Signing in and out from a browser. Who has signed in is told to the page, so that it shows what may be done.
import * as z from 'zod'
import { sessionView, signIn } from '../../../api/schemas.ts'
import { callerOf, countingFailures } from '../access.ts'
import type { RouteScope } from '../create-app.ts'
import { demandOwnPage, sessionCookie } from '../session-cookie.ts'

export const addSessionRoutes = ({ app, services }: RouteScope): void => {
  const { sessions, failures, version, clock } = services
  app.post(
    '/v1/session',
    {
      config: { access: { kind: 'open', because: 'the body carries a token' } },
      schema: { body: signIn, response: { 204: z.null() } }
    },
    async (request, reply) => {
      demandOwnPage(request)
      const { sealed, untilMs } = await countingFailures(failures, request, () =>
        sessions.begin(request.body.token, request.ip)
      )
      const seconds = Math.floor((untilMs - clock.nowMs()) / 1000)
      return reply
        .code(204)
        .header('set-cookie', sessionCookie(request, sealed, seconds))
        .send(null)
    }
  )
  app.get(
    '/v1/session',
    { config: { access: { kind: 'any-token' } }, schema: { response: { 200: sessionView } } },
    async (request) => {
      const { actor, allow } = callerOf(request)
      return { name: actor.name, allow: [...allow], version, nowMs: clock.nowMs() }
    }
  )
  app.delete(
    '/v1/session',
    {
      config: { access: { kind: 'open', because: 'whoever has no session may forget it' } },
      schema: { response: { 204: z.null() } }
    },
    async (request, reply) => {
      demandOwnPage(request)
      return reply
        .code(204)
        .header('set-cookie', sessionCookie(request, '', 0))
        .send(null)
    }
  )
}
