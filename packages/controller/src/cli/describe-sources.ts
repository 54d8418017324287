// The words for where images came from: per host, and once for each source that failed, whatever the number of hosts
// that met it. Pure.
import type { DeploymentView, TargetView } from '../api/schemas.ts'
import { nameOf } from './describe-deployment.ts'
import { formatText } from './format-values.ts'

/** Whether any image came from elsewhere than the registry in its name: only then is it worth a column. */
export const hasOtherSources = ({ targets }: DeploymentView): boolean =>
  targets.some(({ source }) => source !== undefined && source !== null && source !== 'registry')

/** `mirror:mirror.example.com`; `on the host`; empty where nobody says. */
export const describeSource = ({ source }: Pick<TargetView, 'source'>): string =>
  source === undefined ? '' : (source ?? 'on the host')

/** Hosts named in one line; the others are counted. */
const maxNamed = 5

/** `registry did not give the image to a, b: ...`, for hosts that got it elsewhere, or had it. */
export function describeFailedSources(deployment: DeploymentView): string[] {
  const met = new Map<string, { source: string; detail: string; names: string[] }>()
  for (const target of deployment.targets) {
    if (target.source === undefined) continue
    for (const { source, code, detail } of target.failedSources ?? []) {
      const key = `${source} ${code}`
      const known = met.get(key) ?? { source, detail, names: [] }
      known.names.push(nameOf(deployment, target))
      met.set(key, known)
    }
  }
  return [...met.values()].map(({ source, detail, names }) => {
    const others = names.length - maxNamed
    const named = names.slice(0, maxNamed).join(', ')
    const all = others > 0 ? `${named} and ${String(others)} more` : named
    return formatText(`${source} did not give the image to ${all}: ${detail}`)
  })
}
