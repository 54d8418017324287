// A deployment as a suite of tests: one case per host and service. The suite passes if and only if the command
// ends with 0; where no host is to blame, a case of the deployment itself says why. Pure.
import type { DeploymentView, TargetView } from '../api/schemas.ts'
import { describeTraffic } from './describe-traffic.ts'
import { exitCodeOfOutcome, exitCodes, type SeenOutcome } from './exit-codes.ts'
import { formatDuration, formatText } from './format-values.ts'
import type { Asked } from './render-result.ts'

export type Verdict =
  | { kind: 'passed' }
  | { kind: 'skipped'; message: string }
  /** `error`: not known, or not carried out; `failure`: carried out and not good. */
  | { kind: 'failure' | 'error'; message: string; type: string; text: readonly string[] }
export type Case = {
  name: string
  className: string
  /** null: nobody measured it. */
  durationMs: number | null
  verdict: Verdict
  output: readonly string[]
}
export type Suite = {
  name: string
  atMs: number
  durationMs: number
  properties: Readonly<Record<string, string>>
  cases: readonly Case[]
}

/** Of a deployment that ended. */
export function suiteOfEnd(deployment: DeploymentView): Suite {
  const outcome = deployment.outcome ?? 'unknown'
  const cases = deployment.targets.map((target) => caseOfTarget(deployment, target))
  const isGood = exitCodeOfOutcome(outcome) === exitCodes.succeeded
  const isTold = cases.some(({ verdict }) => verdict.kind === 'failure' || verdict.kind === 'error')
  // nobody was asked: a report without a case is refused by those who read it
  const isNeeded = isGood ? cases.length === 0 : !isTold
  return {
    ...headOf(deployment, outcome),
    cases: isNeeded ? [caseOfDeployment(deployment, outcome, deployment.reason ?? outcome), ...cases] : cases
  }
}

/** Of a deployment whose end is not known here. */
export function suiteOfUnknown(deployment: DeploymentView, why: string): Suite {
  const seen = deployment.targets.map(
    ({ service, host, state }) => `when last heard of, ${service} on ${host} was ${state}`
  )
  const text = `${why}; wait for it again with: longshore attach ${deployment.id}`
  return {
    ...headOf(deployment, 'unknown'),
    cases: [{ ...caseOfDeployment(deployment, 'unknown', text), output: seen.map(formatText) }]
  }
}

/** Nothing was begun, or nothing is known of it. @param why `type` is an error code */
export function suiteOfNothing(
  asked: Asked,
  { kind, type, text }: { kind: 'failure' | 'error'; type: string; text: string },
  atMs: number
): Suite {
  const { service = null, environment = null } = asked
  const place = [service, environment].filter((part) => part !== null).join(' in ')
  return {
    name: place === '' ? 'longshore' : place,
    atMs,
    durationMs: 0,
    properties: {},
    cases: [
      {
        name: 'deployment',
        className: [environment ?? 'longshore', service ?? 'deployment'].join('.'),
        durationMs: null,
        verdict: { kind, message: firstLine(text), type, text: linesOf(text) },
        output: []
      }
    ]
  }
}

function headOf(deployment: DeploymentView, outcome: SeenOutcome): Omit<Suite, 'cases'> {
  const { id, environment, services, requestedAtMs, endedAtMs, mode, digest, tag } = deployment
  const names = services.map(({ service }) => service).join(', ')
  return {
    name: `${names} in ${environment}`,
    atMs: requestedAtMs,
    durationMs: endedAtMs === null ? 0 : endedAtMs - requestedAtMs,
    properties: {
      deployment: id,
      mode,
      outcome,
      release: services.map(({ release }) => String(release)).join(', '),
      ...(tag === null ? {} : { tag }),
      ...(digest === null ? {} : { digest })
    }
  }
}

function caseOfDeployment(deployment: DeploymentView, outcome: SeenOutcome, text: string): Case {
  const isGood = exitCodeOfOutcome(outcome) === exitCodes.succeeded
  const kind = outcome === 'unknown' || outcome === 'mixed' ? 'error' : 'failure'
  const logs = deployment.services.flatMap(({ service, releaseCommand }) =>
    releaseCommand === undefined || releaseCommand.state === 'pending'
      ? []
      : [
          `release command of ${service}: ${releaseCommand.state}`,
          ...releaseCommand.log.map((line) => `  | ${formatText(line)}`)
        ]
  )
  return {
    name: 'deployment',
    className: `${deployment.environment}.${deployment.service}`,
    durationMs: null,
    verdict: isGood
      ? { kind: 'passed' }
      : { kind, message: firstLine(text), type: outcome, text: linesOf(text) },
    output: logs
  }
}

function caseOfTarget(deployment: DeploymentView, target: TargetView): Case {
  const steps = target.steps ?? []
  const traffic = describeTraffic(target)
  const durationMs = steps.reduce((sum, { startedMs, endedMs }) => sum + endedMs - startedMs, 0)
  return {
    name: target.host,
    className: `${deployment.environment}.${target.service}`,
    durationMs: steps.length === 0 ? null : durationMs,
    verdict: verdictOf(deployment, target),
    output: [
      ...steps.map(
        ({ step, startedMs, endedMs, outcome }) =>
          `${formatText(step)}: ${outcome}, ${formatDuration(endedMs - startedMs)}`
      ),
      ...(traffic === '' ? [] : [`traffic: ${traffic}`])
    ]
  }
}

const good = new Set<TargetView['state']>(['released', 'planned', 'rehearsed', 'removed'])
const bad = new Set<TargetView['state']>(['failed', 'not-ready', 'reverted'])

function verdictOf({ outcome }: DeploymentView, target: TargetView): Verdict {
  const { state, serving, reason, code, log = [] } = target
  const message = formatText(reason === undefined ? state : `${state}: ${reason}`)
  if (state === 'skipped') return { kind: 'skipped', message }
  const text = [
    message,
    `it serves: ${serving}`,
    ...(log.length === 0
      ? []
      : ['last lines of the container:', ...log.map((line) => `  | ${formatText(line)}`)])
  ]
  if (state === 'unknown') return { kind: 'error', message, type: code ?? state, text }
  if (bad.has(state)) return { kind: 'failure', message, type: code ?? state, text }
  if (good.has(state) || outcome === 'succeeded') return { kind: 'passed' }
  return { kind: 'skipped', message: `${message}; it was not its turn` }
}

const linesOf = (text: string): string[] => text.trimEnd().split('\n').map(formatText)
const firstLine = (text: string): string => linesOf(text)[0] ?? ''
