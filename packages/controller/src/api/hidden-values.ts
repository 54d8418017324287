// Values of a service's environment, for those who may not read them: a short hash instead, so that it can be seen
// whether two are the same. The hash of a guessable value can be guessed too; see docs/access.md.
import { createHash } from 'node:crypto'
import type { ServiceSpec } from '@longshore/protocol'
import type { DeploymentView, TargetView } from './deployment-schemas.ts'
import type { SpecChange } from './spec-schemas.ts'

/** Of 64 hexadecimal digits: enough to tell two values apart. */
const shownDigits = 8

/** @returns `sha256:` and the first digits of the SHA-256 of the value as UTF-8 */
export const hideValue = (value: string): string =>
  `sha256:${createHash('sha256').update(value).digest('hex').slice(0, shownDigits)}`

export const hideSpecValues = (spec: ServiceSpec): ServiceSpec => ({
  ...spec,
  environment: Object.fromEntries(
    Object.entries(spec.environment).map(([name, value]) => [name, hideValue(value)])
  )
})

/** @param isShown whether values of that service may be read */
export const hidePlanValues = (
  deployment: DeploymentView,
  isShown: (service: string) => boolean
): DeploymentView => {
  const { targets } = deployment
  if (targets.every(({ plan, service }) => plan === undefined || isShown(service))) return deployment
  return { ...deployment, targets: targets.map((one) => (isShown(one.service) ? one : hideTarget(one))) }
}

/** As `hidePlanValues`, of one target. */
export const hideTarget = (target: TargetView): TargetView => {
  const { plan } = target
  if (plan === undefined) return target
  return { ...target, plan: { ...plan, changes: plan.changes.map(hideChange) } }
}

const hideChange = (change: SpecChange): SpecChange => {
  const { path, before, after } = change
  if (path === 'environment') return { path, before: hideMap(before), after: hideMap(after) }
  if (!path.startsWith('environment.')) return change
  return {
    path,
    ...(before === undefined ? {} : { before: hideAny(before) }),
    ...(after === undefined ? {} : { after: hideAny(after) })
  }
}

const hideAny = (value: unknown): string =>
  hideValue(typeof value === 'string' ? value : JSON.stringify(value))

/** A spec against none is compared as a whole. */
const hideMap = (value: unknown): unknown =>
  typeof value === 'object' && value !== null
    ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name, hideAny(one)]))
    : value
