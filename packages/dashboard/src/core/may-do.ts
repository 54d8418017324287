// What the session may do, so that the page shows no button in vain. The controller decides; its rule is the one of
// docs/access.md, and a test compares this with it.
import type { DeploymentView, Permission, Verb } from '@longshore/controller/api'

const bringsAlong: Partial<Record<string, readonly Verb[]>> = {
  'read-values': ['read'],
  deploy: ['read', 'cancel'],
  rollback: ['read', 'cancel'],
  remove: ['read', 'cancel'],
  cancel: ['read'],
  lock: ['read'],
  logs: ['read'],
  apply: ['read', 'read-values'],
  agents: ['read'],
  environments: ['read'],
  webhooks: ['read'],
  'push-image': ['pull-image']
}

/** One permission has to cover all of it; several partial ones do not add up. */
export const mayDo = (
  allow: readonly Permission[],
  verb: Verb,
  environment: string,
  service: string
): boolean =>
  allow.some((permission) => {
    const [granted = '', environments, services] = permission.split(/[:/]/)
    const fits = (pattern: string | undefined, name: string): boolean => pattern === '*' || pattern === name
    const isVerb = granted === '*' || granted === verb || bringsAlong[granted]?.includes(verb) === true
    return isVerb && fits(environments, environment) && fits(services, service)
  })

export type DeploymentActions = { cancel: boolean; resume: boolean; rollback: boolean; promoteTo: string[] }

/** @param environments every environment that is known */
export const actionsFor = (
  deployment: Pick<
    DeploymentView,
    'environment' | 'services' | 'phase' | 'mode' | 'outcome' | 'isCancelRequested'
  >,
  allow: readonly Permission[],
  environments: readonly string[]
): DeploymentActions => {
  const { environment, services, phase, mode, outcome, isCancelRequested } = deployment
  const may = (verb: Verb, where: string = environment): boolean =>
    services.every(({ service }) => mayDo(allow, verb, where, service))
  const isGood = mode !== 'plan' && mode !== 'rehearse' && mode !== 'remove' && outcome === 'succeeded'
  return {
    cancel: phase !== 'ended' && !isCancelRequested && may('cancel'),
    resume: phase === 'paused' && may('deploy'),
    rollback: isGood && may('rollback'),
    promoteTo: isGood ? environments.filter((one) => one !== environment && may('deploy', one)) : []
  }
}
