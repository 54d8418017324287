// A change that is refused before it reaches the engine (a permission is missing, what it names does not exist)
// leaves an audit row too. Whoever sends no valid token is a stranger: counted by address and not audited.
import type { FastifyInstance } from 'fastify'
import { ApiError } from '../../api/errors.ts'
import type { Writer } from '../../engine/writer.ts'

/** RFC 9110, section 9.2.1: these methods change nothing. */
const safeMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS']

export const auditRefusals = (app: FastifyInstance, writer: Pick<Writer, 'refused'>): void => {
  app.addHook('onError', async ({ method, url, caller, params, routeOptions }, _reply, error) => {
    if (caller === null || safeMethods.includes(method) || !(error instanceof ApiError)) return
    const action = `${method} ${routeOptions.url ?? ''}`
    const [path = ''] = url.split('?', 1)
    const subject = routeOptions.config.subjectOf?.(params as Record<string, string>) ?? path
    await writer.refused({ actor: caller.actor, action, subject, request: {} }, error)
  })
}
