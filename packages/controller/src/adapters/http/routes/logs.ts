// Logs of a service, as events while they are written or until what there is has been told. Reading them is a right of
// its own: what programs write may be secret. The stream slows its hosts down; it is never dropped for being slow.
import { logQuery } from '../../../api/log-schemas.ts'
import { callerOf, demand } from '../access.ts'
import type { RouteScope } from '../create-app.ts'
import type { EventResponse } from '../event-response.ts'

export const addLogRoutes = ({ app, services, responses }: RouteScope): void => {
  app.get(
    '/v1/logs',
    {
      config: { access: { kind: 'demands', verb: 'logs' } },
      schema: { querystring: logQuery, produces: ['text/event-stream'] }
    },
    async (request, reply) => {
      const { environment, service } = request.query
      demand(request, { verb: 'logs', environment, service })
      const caller = callerOf(request)
      const { actor } = caller
      const found = await services.logFinder.find(actor, request.query)
      const reader = services.logs.open(actor.id, found)
      let response: EventResponse
      try {
        response = responses.begin(reply, actor.id, reader.stop, () => services.callers.isGood(caller))
      } catch (error) {
        reader.stop()
        throw error
      }
      reader.begin(response)
    }
  )
}
