// The hosts of a deployment by batch, in the order in which they switch, and which of very many are shown.
import type { DeploymentView, TargetView } from '@longshore/controller/api'

export type Batch = {
  readonly service: string
  /** null: not formed yet. */
  readonly batch: number | null
  readonly isNow: boolean
  readonly targets: readonly TargetView[]
  /** Hosts that fit and are not in `targets`: the page would become slow. */
  readonly leftOut: number
}

const maxShown = 200

/** What needs a look comes first when not all can be shown. */
const urgency = ({ state, progress }: TargetView): number => {
  if (state === 'failed' || state === 'unknown' || state === 'not-ready') return 0
  return progress === undefined ? 2 : 1
}

/** @param text in the host's name, its state or its reason */
export const arrangeTargets = (
  { services, targets, batch: current, phase }: DeploymentView,
  text: string
): Batch[] => {
  const word = text.trim().toLowerCase()
  const wanted = targets.filter(({ host, state, reason }) =>
    `${host} ${state} ${reason ?? ''}`.toLowerCase().includes(word)
  )
  let room = maxShown
  return services.flatMap(({ service }) => {
    const own = wanted.filter((target) => target.service === service)
    const batches = [...Map.groupBy(own, ({ batch }) => batch)]
    batches.sort(([a], [b]) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY))
    return batches.map(([batch, members]) => {
      const shown = choose(members, room)
      room -= shown.length
      const isNow = phase === 'rolling' && batch !== null && batch === current
      return { service, batch, isNow, targets: shown, leftOut: members.length - shown.length }
    })
  })
}

const choose = (targets: readonly TargetView[], room: number): readonly TargetView[] =>
  targets.length <= room ? targets : targets.toSorted((a, b) => urgency(a) - urgency(b)).slice(0, room)

/** How many hosts are in each state, those of most hosts first. */
export const countTargets = (targets: readonly TargetView[]): [state: string, count: number][] => {
  const counts = new Map<string, number>()
  for (const { state } of targets) counts.set(state, (counts.get(state) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)
}
