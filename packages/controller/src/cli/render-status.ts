// What runs where, for people: each service with who holds it, each host with how it differs and what is done about
// that. Pure.
import type { ConvergenceView, HostStatus, StatusView } from '../api/schemas.ts'
import { describeSkew } from './describe-skew.ts'
import { describeSource } from './describe-sources.ts'
import { describeLoad } from './describe-traffic.ts'
import { formatDigest, formatDuration, formatText, formatTime } from './format-values.ts'
import { renderTable } from './render-table.ts'
import { type Colors, paintColumn } from './state-colors.ts'

/** A table without convergence fits into 80 columns beside one more; whoever has less room does not miss it. */
const wideColumns = 100

/** @param columns of the terminal: where images came from is shown on a wide one */
export function renderStatus(
  services: readonly StatusView[],
  colors: Colors,
  nowMs: number,
  columns = 80
): string {
  if (services.length === 0)
    return 'no services that this token may read; describe one with: longshore apply -f FILE --env NAME\n'
  return services.map((service) => renderService(service, colors, nowMs, columns >= wideColumns)).join('\n')
}

function renderService(view: StatusView, colors: Colors, nowMs: number, isWide: boolean): string {
  const load = view.traffic === undefined ? '' : `, ${describeLoad(view.traffic)}`
  const title = `${colors.bold(`${view.service} in ${view.environment}`)}: ${describeRelease(view)}${load}\n`
  const held = [
    describeLock(view),
    describeFreeze(view),
    ...view.hosts.map(describeProxy),
    ...view.hosts.map(describeAgent)
  ].filter((line) => line !== null)
  const notes = held.map((line) => `  ${colors.yellow(formatText(line))}\n`).join('')
  return `${title}${notes}${renderHosts(view, colors, nowMs, isWide)}`
}

/** Service and host -> how it is there, without ages and figures. */
export const statusLines = (services: readonly StatusView[]): Map<string, string> =>
  new Map(
    services.flatMap((view) => {
      const name = `${view.service} in ${view.environment}`
      const held = [describeLock(view), describeFreeze(view)].filter((line) => line !== null)
      const hosts = view.hosts.map((host): [string, string] => {
        const release = host.release === null ? '' : `, release ${String(host.release)}`
        const drift = [host.driftKind, host.drift].filter((part) => part !== undefined).join(': ')
        return [`${name} on ${host.host}`, `${stateOf(host)}${release}${drift === '' ? '' : `, ${drift}`}`]
      })
      return [[name, [describeRelease(view), ...held].join('; ')] as [string, string], ...hosts]
    })
  )

const describeRelease = ({ release, tag, digest }: StatusView): string => {
  if (release === null) return 'no release'
  const image = [tag, digest === null ? null : formatDigest(digest)].filter((part) => part !== null)
  return `release ${String(release)} (${image.join(' ')})`
}

const describeLock = ({ lock }: StatusView): string | null =>
  lock === null
    ? null
    : `being deployed by ${lock.holder} since ${formatTime(lock.sinceMs)} (${lock.deployment}${
        lock.isPaused ? ', paused' : ''
      })${lock.reason === null ? '' : `: ${lock.reason}`}`

const describeFreeze = ({ freeze }: StatusView): string | null =>
  freeze === null
    ? null
    : `locked${freeze.service === null ? ' with its environment' : ''} by ${freeze.holder} since ${formatTime(
        freeze.sinceMs
      )}: ${freeze.reason}`

const describeProxy = ({ host, proxy }: HostStatus): string | null =>
  proxy?.state === 'down' ? `HAProxy on ${host} is down: ${proxy.detail}` : null

const describeAgent = ({ host, agent }: HostStatus): string | null =>
  agent === undefined ? null : `the agent of ${host} is ${agent.version}: ${describeSkew(agent.skew)}`

const stateColumn = 1

function renderHosts({ hosts }: StatusView, colors: Colors, nowMs: number, isWide: boolean): string {
  if (hosts.length === 0) return '  no hosts\n'
  const isConverging = hosts.some(({ convergence }) => convergence !== undefined)
  const isSourced = isWide && hosts.some(({ source }) => source !== undefined)
  const isMeasured = hosts.some(({ traffic }) => traffic !== undefined)
  const rows = hosts.map((host) => [
    `  ${host.host}`,
    stateOf(host),
    host.release === null ? '-' : String(host.release),
    ...(isSourced ? [describeSource(host) || '-'] : []),
    ...(isMeasured ? [host.traffic === undefined ? '-' : describeLoad(host.traffic)] : []),
    [host.driftKind, host.drift].filter((part) => part !== undefined).join(': '),
    ...(isConverging ? [describeConvergence(host.convergence, nowMs)] : [])
  ])
  const head = [
    '  HOST',
    'STATE',
    'RELEASE',
    ...(isSourced ? ['IMAGE FROM'] : []),
    ...(isMeasured ? ['TRAFFIC'] : []),
    'DRIFT',
    ...(isConverging ? ['CONVERGENCE'] : [])
  ]
  return renderTable(head, rows, paintColumn(colors, stateColumn))
}

/** Nothing is missing where nothing is wanted: before the first release, and after the service was removed. */
const stateOf = ({ state, driftKind }: HostStatus): string =>
  state === 'missing' && driftKind === undefined ? 'none' : state

function describeConvergence(convergence: ConvergenceView | undefined, nowMs: number): string {
  if (convergence === undefined) return ''
  const { tries, triesMax, nextAtMs, reason, isGivenUp } = convergence
  if (isGivenUp) return `cannot converge: ${reason ?? 'no try helped'}`
  const tried = tries === 0 ? '' : `, try ${String(tries)} of ${String(triesMax)}`
  if (nextAtMs === null) return `converging${tried}`
  const next = `next in ${formatDuration(nextAtMs - nowMs)}`
  return reason === null ? `converging${tried}, ${next}` : `converging${tried} failed, ${next}: ${reason}`
}
