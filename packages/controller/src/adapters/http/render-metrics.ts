// Metrics as Prometheus reads them, by its own client library: a registry for each answer, because every token sees
// what it may read, and because the numbers are counted elsewhere.
import type { Gauge } from 'prom-client'
import type { MetricsView, ServiceMetrics } from '../../engine/collect-metrics.ts'

type Labels = Record<string, string>

export const renderMetrics = async (view: MetricsView): Promise<{ contentType: string; text: string }> => {
  // loaded here only: a start of the controller should not wait for it
  const { default: prometheus } = await import('prom-client')
  const registry = new prometheus.Registry()
  const shared = { registers: [registry] }
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new prometheus.Gauge({ ...shared, name: `longshore_${name}`, help, labelNames })
  const count = (name: string, help: string, of: (one: ServiceMetrics) => number): void => {
    const counter = new prometheus.Counter({
      ...shared,
      name: `longshore_service_${name}`,
      help,
      labelNames: ofService
    })
    for (const one of view.services) counter.inc(labelsOf(one), of(one))
  }
  const show = (name: string, help: string, of: (figures: Figures) => number | null): void => {
    const shown = gauge(`service_${name}`, help, ofService)
    for (const one of view.services) {
      const value = one.figures === null ? null : of(one.figures)
      if (value !== null) shown.set(labelsOf(one), value)
    }
  }

  count(
    'requests_total',
    'Requests (in mode tcp: connections) since the controller started.',
    (one) => one.requests
  )
  count('request_errors_total', 'Of them answered with 5xx, or not at all.', (one) => one.errors)
  show('requests_per_second', 'Requests a second over the last minute.', (one) => one.requestsPerSecond)
  show('errors_per_second', 'Failed requests a second over the last minute.', (one) => one.errorsPerSecond)
  show('sessions', 'Open connections, upgraded ones too.', (one) => one.sessions)
  show('upgraded_connections', 'WebSockets and other upgraded connections.', (one) => one.upgraded)
  show('latency_seconds', 'Mean time of an answer over the last requests.', ({ latencyMs }) =>
    latencyMs === null ? null : latencyMs / 1000
  )
  const up = gauge('proxy_up', 'Whether HAProxy runs on a host that needs it.', ['environment', 'host'])
  for (const { environment, host, isUp } of view.proxies) up.set({ environment, host }, isUp ? 1 : 0)
  const connected = gauge('agents_connected', 'Agents with a session.', ['environment'])
  const enrolled = gauge('agents', 'Agents that are not revoked or held.', ['environment'])
  for (const { environment, ...agents } of view.agents) {
    connected.set({ environment }, agents.connected)
    enrolled.set({ environment }, agents.enrolled)
  }
  gauge('metrics_left_out', 'Services and proxies beyond the limit of this page.', []).set(view.leftOut)
  return { contentType: registry.contentType, text: await registry.metrics() }
}

type Figures = NonNullable<ServiceMetrics['figures']>

const ofService = ['environment', 'service']
const labelsOf = ({ environment, service }: ServiceMetrics): Labels => ({ environment, service })
