// What happens between the snapshot of a stream and its first event reaches the client, as far as it may read it.
import { fastify } from 'fastify'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import t from 'tap'
import type { RouteScope } from '../../../../packages/controller/src/adapters/http/create-app.ts'
import type { EventResponses } from '../../../../packages/controller/src/adapters/http/event-response.ts'
import { addEventRoutes } from '../../../../packages/controller/src/adapters/http/routes/events.ts'
import type { DeploymentView, StreamEvent } from '../../../../packages/controller/src/api/schemas.ts'
import { createEventStream } from '../../../../packages/controller/src/engine/event-stream.ts'

const at = '2026-01-01T00:00:00.000Z'
const deploymentIn = (environment: string, id: string) =>
  ({
    id,
    environment,
    services: [{ service: 'api' }],
    targets: [],
    phase: 'rolling'
  }) as unknown as DeploymentView
const warningOf = (id: string): StreamEvent => ({
  at,
  type: 'warning',
  id: id as Extract<StreamEvent, { type: 'warning' }>['id'],
  text: `of ${id}`
})

t.test('an event that comes while the snapshot is taken is sent after it, to who may read it', async (t) => {
  const events = createEventStream('run')
  const snapshot = Promise.withResolvers<DeploymentView[]>()
  const asked = Promise.withResolvers<void>()
  const seen: StreamEvent[] = []
  const responses: EventResponses = {
    begin: (reply) => {
      reply.hijack()
      reply.raw.end()
      return {
        send: (event) => seen.push(event as StreamEvent),
        room: async () => undefined,
        end: () => undefined,
        waitingBytes: 0
      }
    },
    endAll: () => undefined
  }
  const services = {
    events,
    clock: { nowMs: () => 0 },
    fleet: { agents: async () => [] },
    deployments: {
      list: () => {
        asked.resolve()
        return snapshot.promise
      }
    }
  }
  const app = fastify()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  const caller = { actor: { id: 'tok' }, allow: ['read:staging/*'] }
  app.decorateRequest('caller', null)
  app.addHook('onRequest', async (request) => Object.assign(request, { caller }))
  addEventRoutes({ app, services, responses } as unknown as RouteScope)
  const answered = Promise.resolve(app.inject('/v1/events'))
  await asked.promise
  events.publish(warningOf('mine'))
  events.publish(warningOf('theirs'))
  snapshot.resolve([deploymentIn('staging', 'mine'), deploymentIn('production', 'theirs')])
  await answered
  t.match(seen, [
    { type: 'deployment', deployment: { id: 'mine' } },
    { type: 'warning', id: 'mine' }
  ])
  t.equal(seen.length, 2)
  await app.close()
})
