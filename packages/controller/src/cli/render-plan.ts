// What `deploy --plan` shows: the very deployment that would run: images, batches, and per host what serves now, what
// would, in which steps, what changes in the spec (in full, as `apply` shows it) and what would be refused. Pure.
import type { DeploymentView, ServicePart, TargetPlan, TargetView } from '../api/schemas.ts'
import { nameOf, namesOf } from './describe-deployment.ts'
import { formatDuration, formatText } from './format-values.ts'
import { renderChange } from './render-changes.ts'
import type { Colors } from './state-colors.ts'

export function renderPlan(deployment: DeploymentView, colors: Colors): string {
  const { environment, outcome, reason, services, targets, refusals = [], warnings } = deployment
  const verdict = outcome === 'succeeded' ? colors.green('would run') : colors.red('would be refused')
  return [
    `${colors.bold(`${namesOf(deployment)} in ${environment}`)}: ${verdict}\n`,
    ...(reason === null ? [] : [`${formatText(reason)}\n`]),
    ...refusals.map(({ code, detail }) => colors.red(`  ! ${formatText(`${code}: ${detail}`)}\n`)),
    ...warnings.map((warning) => `warning: ${formatText(warning)}\n`),
    ...services.flatMap((part) => ['\n', ...renderPart(deployment, part)]),
    ...targets.flatMap((target) => ['\n', ...renderHost(deployment, target, colors)])
  ].join('')
}

function renderPart(deployment: DeploymentView, part: ServicePart): string[] {
  const { service, release, previousRelease, repository, tag, digest, specRevision } = part
  const from = previousRelease === null ? '' : `, now ${String(previousRelease)}`
  const image = `${repository}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`
  const own = deployment.targets.filter((target) => target.service === service)
  return [
    `${service}: release ${String(release)}${from}, spec revision ${String(specRevision)}\n`,
    ...(deployment.mode === 'remove' ? [] : [`  image    ${formatText(image)}\n`]),
    ...(part.releaseCommand === undefined ? [] : ['  first    its release command, once, on one host\n']),
    ...renderBatches(part, own)
  ]
}

/** `canary: a`, `batch 2: b, c`; nothing where nobody has decided. */
function renderBatches({ rollout }: ServicePart, targets: readonly TargetView[]): string[] {
  const numbers = [...new Set(targets.flatMap(({ batch }) => batch ?? []))].sort((a, b) => a - b)
  const hasCanary = (rollout?.canary ?? null) !== null
  const pause =
    rollout === undefined || rollout.delayMs === 0 ? '' : `, after ${formatDuration(rollout.delayMs)}`
  return numbers.map((number, position) => {
    const hosts = targets.filter(({ batch }) => batch === number).map(({ host }) => host)
    const name = hasCanary && position === 0 ? 'canary' : `batch ${String(number)}`
    return `  ${name.padEnd(8)} ${hosts.join(', ')}${position === 0 ? '' : pause}\n`
  })
}

function renderHost(deployment: DeploymentView, target: TargetView, colors: Colors): string[] {
  const { plan, state, reason } = target
  const name = nameOf(deployment, target)
  if (plan === undefined) {
    const why = reason === undefined ? '' : `: ${formatText(reason)}`
    return [`${name}: ${state}${why}\n`]
  }
  const part = deployment.services.find(({ service }) => service === target.service)
  return [
    `${name}: ${describeServes(plan)} -> ${describeNext(deployment, part, plan)}\n`,
    ...(plan.steps.length === 0 ? [] : [`  steps    ${formatText(plan.steps.join(', '))}\n`]),
    ...(plan.notices ?? []).map((notice) => colors.yellow(`  note     ${formatText(notice)}\n`)),
    ...plan.changes.map((change) => renderChange(change, colors)),
    ...plan.refusals.map(({ code, detail }) => colors.red(`  ! ${formatText(`${code}: ${detail}`)}\n`))
  ]
}

function describeServes({ serves }: TargetPlan): string {
  if (serves === null) return 'nothing'
  const { release, image } = serves
  if (release === null) return formatText(image ?? 'something')
  return formatText(`release ${String(release)}${image === null ? '' : ` (${image})`}`)
}

function describeNext(
  { mode }: DeploymentView,
  part: ServicePart | undefined,
  { isRunning }: TargetPlan
): string {
  if (mode === 'remove') return 'nothing'
  const release = part === undefined ? 'the release' : `release ${String(part.release)}`
  return isRunning ? `${release}, which runs already: nothing is restarted` : release
}
