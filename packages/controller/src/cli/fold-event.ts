// The picture of a deployment after one more event: snapshot + events -> what is shown. Pure.
import type { DeploymentEvent, DeploymentView, TargetView } from '../api/schemas.ts'

/** A deployment, the batch that is switching now, and nothing else: everything a renderer needs. */
export type Picture = { readonly deployment: DeploymentView; readonly batch: number | null }

/** @param picture null before the first event, which is a snapshot; other events are then ignored */
export function foldEvent(picture: Picture | null, event: DeploymentEvent): Picture | null {
  if (event.type === 'deployment' || event.type === 'ended') {
    return { deployment: event.deployment, batch: batchOf(event.deployment) ?? picture?.batch ?? null }
  }
  if (picture === null) return null
  const { deployment } = picture
  switch (event.type) {
    case 'phase':
      return { deployment: { ...deployment, phase: event.phase }, batch: event.batch ?? picture.batch }
    case 'target':
      return { ...picture, deployment: withTarget(deployment, event.target) }
    case 'progress': {
      const target = deployment.targets.find(({ host }) => host === event.host)
      if (target === undefined) return picture
      return { ...picture, deployment: withTarget(deployment, { ...target, progress: event.progress }) }
    }
    case 'warning':
      return { ...picture, deployment: { ...deployment, warnings: [...deployment.warnings, event.text] } }
    case 'log':
      return picture
    default:
      return event satisfies never
  }
}

/** The batch that was begun last; a snapshot names it only by its hosts. */
function batchOf({ targets }: DeploymentView): number | null {
  const last = Math.max(0, ...targets.map(({ batch }) => batch ?? 0))
  return last === 0 ? null : last
}

function withTarget(deployment: DeploymentView, changed: TargetView): DeploymentView {
  const isKnown = deployment.targets.some(({ host }) => host === changed.host)
  const targets = isKnown
    ? deployment.targets.map((target) => (target.host === changed.host ? changed : target))
    : [...deployment.targets, changed]
  return { ...deployment, targets }
}
