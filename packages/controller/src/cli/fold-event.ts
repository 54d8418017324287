// The picture of a deployment after one more event: snapshot + events -> what is shown. Pure.
import type { DeploymentEvent, DeploymentView, TargetView } from '../api/schemas.ts'

/** Everything a renderer needs. */
export type Picture = {
  readonly deployment: DeploymentView
  /** The batch that is switching now, and of which service. */
  readonly batch: number | null
  readonly rolling: string | null
  /** The last line of the release command's output. */
  readonly output: string | null
}

/** @param picture null before the first event, which is a snapshot; other events are then ignored */
export function foldEvent(picture: Picture | null, event: DeploymentEvent): Picture | null {
  if (event.type === 'deployment' || event.type === 'ended') {
    const { deployment } = event
    const switching = deployment.targets.find(({ batch }) => batch !== null && batch === deployment.batch)
    return {
      deployment,
      batch: deployment.batch ?? picture?.batch ?? null,
      rolling: switching?.service ?? picture?.rolling ?? null,
      output: picture?.output ?? null
    }
  }
  if (picture === null) return null
  const { deployment } = picture
  switch (event.type) {
    case 'phase': {
      // of another pause; a snapshot follows with this one's
      const { pause: _former, ...rest } = deployment
      return {
        ...picture,
        deployment: { ...rest, phase: event.phase },
        batch: event.batch ?? picture.batch,
        rolling: event.service ?? picture.rolling
      }
    }
    case 'target':
      return { ...picture, deployment: withTarget(deployment, event.target) }
    case 'progress': {
      const { service = deployment.service, host, progress } = event
      const target = deployment.targets.find((one) => isSame(one, { service, host }))
      if (target === undefined) return picture
      return { ...picture, deployment: withTarget(deployment, { ...target, progress }) }
    }
    case 'log':
      return { ...picture, output: event.lines.at(-1) ?? picture.output }
    case 'warning':
      return { ...picture, deployment: { ...deployment, warnings: [...deployment.warnings, event.text] } }
    default:
      return event satisfies never
  }
}

type Named = { readonly service: string; readonly host: string }
export const isSame = (one: Named, other: Named): boolean =>
  one.host === other.host && one.service === other.service

function withTarget(deployment: DeploymentView, changed: TargetView): DeploymentView {
  const isKnown = deployment.targets.some((target) => isSame(target, changed))
  const targets = isKnown
    ? deployment.targets.map((target) => (isSame(target, changed) ? changed : target))
    : [...deployment.targets, changed]
  return { ...deployment, targets }
}
