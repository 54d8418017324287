// What monitoring reads. Not below /v1: Prometheus asks for this path unless it is told another one.
import { may } from '../access.ts'
import type { RouteScope } from '../create-app.ts'
import { renderMetrics } from '../render-metrics.ts'

export const addMetricsRoutes = ({ app, services: { deployments, version } }: RouteScope): void => {
  app.get('/metrics', { config: { access: { kind: 'filters', verb: 'read' } } }, async (request, reply) => {
    const view = await deployments.metrics.collect((need) => may(request, need))
    const { contentType, text } = await renderMetrics(view, version)
    return reply.header('content-type', contentType).send(text)
  })
}
