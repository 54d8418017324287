// Metrics as Prometheus reads them, by its own client library: a registry for each answer, because every token sees
// what it may read, and because the numbers are counted elsewhere.
import type { Gauge } from 'prom-client'
import type { EnvironmentMetrics } from '../../core/metrics/measure-environment.ts'
import type { MetricsView, OwnMetrics, ServiceMetrics } from '../../engine/collect-metrics.ts'
import { renderTally } from './render-tally.ts'

type Labels = Record<string, string>

export const renderMetrics = async (
  view: MetricsView,
  version: string
): Promise<{ contentType: string; text: string }> => {
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
  for (const [name, help, of] of ofEnvironments) {
    const shown = gauge(name, help, ['environment'])
    for (const one of view.environments) {
      const value = of(one)
      if (value !== null) shown.set({ environment: one.environment }, value)
    }
  }
  gauge('metrics_left_out', 'Environments, services and proxies beyond the limits of this page.', []).set(
    view.leftOut
  )
  if (view.own !== null) {
    gauge('build_info', 'Always 1; the label says which version runs.', ['version']).set({ version }, 1)
    for (const [name, help, of] of ofController) {
      const value = of(view.own)
      // made in any case: a gauge without labels would be 0 else
      const shown = gauge(name, help, [])
      if (value === null) shown.remove()
      else shown.set(value)
    }
    for (const tally of view.own.tallies) renderTally(prometheus, registry, tally)
  }
  return { contentType: registry.contentType, text: await registry.metrics() }
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000)

const ofEnvironments: [name: string, help: string, of: (one: EnvironmentMetrics) => number | null][] = [
  ['agents_connected', 'Agents with a session.', (one) => one.connected],
  ['agents', 'Agents that are not revoked or held.', (one) => one.enrolled],
  ['agents_held', 'Agents that wait for approval.', (one) => one.held],
  ['agents_silent', 'Agents that had a session and have none.', (one) => one.silent],
  [
    'agents_silent_longest_seconds',
    'Since the agent that is silent for longest was heard.',
    (one) => seconds(one.silentLongestMs)
  ],
  ['hosts_engine_down', 'Connected hosts whose engine does not answer.', (one) => one.enginesDown],
  ['hosts_disk_low', 'Connected hosts with less than a tenth of the disk free.', (one) => one.disksLow],
  ['hosts_disk_free_ratio_min', 'Free part of the fullest disk.', (one) => one.diskFreeShareMin],
  ['hosts_memory_free_bytes_min', 'Free memory where it is least.', (one) => one.memoryFreeBytesMin],
  ['hosts_load_per_cpu_max', 'Load per processor of the busiest host.', (one) => one.loadPerCpuMax],
  ['outbox_owed', 'Commands that their hosts have not accepted yet.', (one) => one.owed],
  ['outbox_accepted', 'Commands that hosts have, and have not reported on.', (one) => one.accepted],
  [
    'outbox_owed_longest_seconds',
    'Since the oldest command that is owed was decided.',
    (one) => seconds(one.owedLongestMs)
  ],
  ['deployments_running', 'Deployments in progress that are not paused.', (one) => one.running],
  ['deployments_paused', 'Deployments that wait for somebody to decide.', (one) => one.paused],
  [
    'deployments_running_longest_seconds',
    'Since the oldest of the running deployments was requested.',
    (one) => seconds(one.runningLongestMs)
  ],
  [
    'deployments_still_longest_seconds',
    'For how long nothing has happened in a running deployment.',
    (one) => seconds(one.stillLongestMs)
  ],
  [
    'services_mixed',
    'Services with several releases on their hosts and no deployment at work.',
    (one) => one.mixedServices
  ]
]

const ofController: [name: string, help: string, of: (own: OwnMetrics) => number | null][] = [
  ['event_streams', 'Open streams of events and logs.', (own) => own.streams],
  ['notifications_waiting', 'Notifications that webhooks are owed.', (own) => own.notifications.waiting],
  [
    'notifications_given_up',
    'Notifications that could not be delivered.',
    (own) => own.notifications.givenUp
  ],
  [
    'certificate_expiry_timestamp_seconds',
    'Until when the certificate that is served is valid.',
    (own) => seconds(own.certificateExpiresAtMs)
  ],
  [
    'api_token_expiry_timestamp_seconds',
    'When the first of the API tokens in use ends.',
    (own) => seconds(own.tokenExpiresAtMs)
  ],
  ['resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss()]
]

type Figures = NonNullable<ServiceMetrics['figures']>

const ofService = ['environment', 'service']
const labelsOf = ({ environment, service }: ServiceMetrics): Labels => ({ environment, service })
