// The words for a deployment, its phase and its hosts, the same in a log, on a terminal and in the result. Several
// services are named only where there are several. Pure.
import type { DeploymentView, ServicePart, TargetView } from '../api/schemas.ts'
import type { Picture } from './fold-event.ts'
import { formatDigest, formatText, formatTime } from './format-values.ts'

export const hasSeveral = ({ services }: DeploymentView): boolean => services.length > 1

/** `web`; `web, api`. */
export const namesOf = ({ services }: DeploymentView): string =>
  services.map(({ service }) => service).join(', ')

/** `host-a`; `web on host-a`. */
export const nameOf = (
  deployment: DeploymentView,
  { service, host }: Pick<TargetView, 'service' | 'host'>
): string => (hasSeveral(deployment) ? `${service} on ${host}` : host)

/** `web in staging: 1.2.3 as release 8`; `web, api in staging: web 1.2.3 as release 8, api 2.0 as release 4`. */
export function describeDeployment(deployment: DeploymentView): string {
  const parts = deployment.services.map((part) => {
    const name = hasSeveral(deployment) ? `${part.service} ` : ''
    return `${name}${describeWanted(deployment, part)} as release ${String(part.release)}`
  })
  const wanted = deployment.mode === 'remove' ? 'removal' : `${modeWords[deployment.mode]}${parts.join(', ')}`
  return `${namesOf(deployment)} in ${deployment.environment}: ${wanted}`
}

const modeWords = {
  deploy: '',
  converge: 'convergence to ',
  rehearse: 'rehearsal of ',
  plan: 'plan of ',
  remove: '',
  upgrade: 'upgrade to '
}

function describeWanted({ what }: DeploymentView, { tag, digest }: ServicePart): string {
  if (what.by === 'rollback') return 'rollback'
  const image = tag ?? formatDigest(digest)
  if (what.by === 'promote') return `${image === '-' ? 'what is' : image} of ${what.from}`
  return what.by === 'current' ? `${image} again` : image
}

/** `rolling, batch 2`; `rolling web, canary`; `preparing, release command on host-a`. */
export function describePhase({ deployment, batch, rolling }: Picture): string {
  const { phase, services } = deployment
  if (phase === 'preparing') {
    const busy = services.find(({ releaseCommand }) => releaseCommand?.state === 'running')
    const host = busy?.releaseCommand?.host
    const whose = busy !== undefined && hasSeveral(deployment) ? ` of ${busy.service}` : ''
    return `preparing, release command${whose}${host === null || host === undefined ? '' : ` on ${host}`}`
  }
  const fetched = services.filter(({ cache }) => phase === 'requested' && cache === 'fetching')
  if (fetched.length > 0) {
    const whose = hasSeveral(deployment) ? ` of ${fetched.map(({ service }) => service).join(', ')}` : ''
    return `requested, the controller fetches the image${whose}`
  }
  if (phase !== 'rolling' || batch === null) return phase
  const part = services.find(({ service }) => service === rolling) ?? services[0]
  // batches are numbered through all services; the first of its own is the canary
  const isFirst = deployment.targets.every(
    (target) => target.service !== part?.service || target.batch === null || target.batch >= batch
  )
  const isCanary = isFirst && (part?.rollout?.canary ?? null) !== null
  const whose = hasSeveral(deployment) && part !== undefined ? ` ${part.service}` : ''
  return `rolling${whose}, ${isCanary ? 'canary' : `batch ${String(batch)}`}`
}

/** Why a deployment holds, what somebody can do about it, and until when; empty unless it does. */
export function describePause({ phase, pause, id }: DeploymentView): string[] {
  if (phase !== 'paused' || pause === undefined) return []
  return [
    formatText(`it holds: ${pause.reason}`),
    `go on: longshore resume ${id}`,
    `go back: longshore cancel ${id}`,
    `by itself it goes back at ${formatTime(pause.untilMs)}`
  ]
}

/** `8 (new)`; `7 (old)`; `none`; a number only where it is known. */
export function describeServing({ serving, servingRelease }: TargetView): string {
  return servingRelease === undefined || servingRelease === null
    ? serving
    : `${String(servingRelease)} (${serving})`
}
