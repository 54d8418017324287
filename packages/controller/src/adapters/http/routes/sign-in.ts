// Signing in at the page with an issuer: what stands at the door, the way to the issuer, and the way back. Back comes a
// navigation from another site, whose answer is one to the page's own address and nowhere else; what went wrong is kept
// in a sealed cookie for the page, because an address could say anything.
import { ProtocolError } from '@longshore/protocol'
import type { FastifyReply, FastifyRequest } from 'fastify'
import * as z from 'zod'
import { ApiError } from '../../../api/errors.ts'
import { beginSignIn, begunSignIn, issuerName, signInView } from '../../../api/schemas.ts'
import { signInMs } from '../../../engine/sign-ins.ts'
import { countingFailures } from '../access.ts'
import type { RouteScope } from '../create-app.ts'
import { demandOwnPage, sealedSignInOf, sessionCookie, signInCookie } from '../session-cookie.ts'

const byName = z.object({ issuer: issuerName })
const open = (because: string) => ({ access: { kind: 'open' as const, because } })
/** From `v1/sign-in/ISSUER/callback` to the page, behind whatever path it is. */
const page = '../../../'

export const addSignInRoutes = (scope: RouteScope): void => {
  const { app, services } = scope
  const { signIns } = services
  app.get(
    '/v1/sign-in',
    { config: open('stands at the door'), schema: { response: { 200: signInView } } },
    async (request, reply) => {
      demandOwnPage(request)
      const sealed = sealedSignInOf(request)
      const refusal = sealed === undefined ? null : await signIns.openRefusal(sealed)
      if (refusal !== null) reply.header('set-cookie', signInCookie(request, '', 0))
      return reply.header('cache-control', 'no-store').send({ issuers: await signIns.offered(), refusal })
    }
  )
  app.post(
    '/v1/sign-in/:issuer',
    {
      config: open('the issuer says who it is'),
      schema: { params: byName, body: beginSignIn, response: { 200: begunSignIn } }
    },
    async (request, reply) => {
      demandOwnPage(request)
      const { url, sealed } = await signIns.begin(request.params.issuer, request.body.view)
      return reply.header('set-cookie', signInCookie(request, sealed, signInMs / 1000)).send({ url })
    }
  )
  app.get(
    '/v1/sign-in/:issuer/callback',
    { config: open('what it carries is checked'), schema: { params: byName, hide: true } },
    async (request, reply) => {
      reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer')
      return comeBack(scope, request, request.params.issuer, reply as unknown as FastifyReply)
    }
  )
}

/** The page is asked for by a navigation that began elsewhere, without the session; its own requests bring it. */
const comeBack = async (
  { services }: RouteScope,
  request: FastifyRequest,
  issuer: string,
  reply: FastifyReply
): Promise<FastifyReply> => {
  const { signIns, sessions, failures, clock } = services
  const [, query = ''] = /\?(.*)$/s.exec(request.url) ?? []
  const sealed = sealedSignInOf(request)
  try {
    const finish = async () => {
      const { person, view } = await signIns.finish(issuer, sealed, query)
      return { begun: await sessions.beginFor(person), view }
    }
    // pictures of any page ask without the cookie, from the address of whoever looks at it
    const { begun, view } = await (sealed === undefined
      ? finish()
      : countingFailures(failures, request, finish))
    const seconds = Math.floor((begun.untilMs - clock.nowMs()) / 1000)
    reply.header('set-cookie', [sessionCookie(request, begun.sealed, seconds), signInCookie(request, '', 0)])
    return reply.redirect(page + view, 303)
  } catch (error) {
    const detail = refusalOf(services, request, error)
    const kept = signInCookie(request, await signIns.sealRefusal(detail), signInMs / 1000)
    return reply.header('set-cookie', kept).redirect(page + (await signIns.viewOf(sealed)), 303)
  }
}

const refusalOf = ({ log }: RouteScope['services'], { ip }: FastifyRequest, error: unknown): string => {
  if (error instanceof ApiError || error instanceof ProtocolError) {
    log.warn({ address: ip, code: error.code, detail: error.message }, 'a sign-in was refused')
    return error.message
  }
  log.error({ address: ip, err: error }, 'a sign-in failed')
  return 'the controller failed: see its log'
}
