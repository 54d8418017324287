// Deployments in progress as far as monitoring asks: since when, in which phase, and how long nothing has happened. In
// memory: after a start of the controller every one is heard of again before the first agent is let in.
import type { Clock, DeploymentRow } from '../ports.ts'

export type RunningDeployment = Pick<DeploymentRow, 'environment' | 'phase' | 'requestedAtMs'> & {
  /** For so long nothing has happened in it: no event, no progress told by a host. */
  stillMs: number
}
export type RunningDeployments = {
  /** After the commit of a step of it. */
  moved(row: DeploymentRow): void
  progressed(id: string): void
  list(): RunningDeployment[]
}

export const createRunningDeployments = (steadyClock: Pick<Clock, 'nowMs'>): RunningDeployments => {
  const running = new Map<string, Omit<RunningDeployment, 'stillMs'> & { movedAtMs: number }>()
  return {
    moved: ({ id, environment, phase, requestedAtMs }) => {
      if (phase === 'ended') running.delete(id)
      else running.set(id, { environment, phase, requestedAtMs, movedAtMs: steadyClock.nowMs() })
    },
    progressed: (id) => {
      const known = running.get(id)
      if (known !== undefined) known.movedAtMs = steadyClock.nowMs()
    },
    list: () =>
      [...running.values()].map(({ movedAtMs, ...shown }) => ({
        ...shown,
        stillMs: steadyClock.nowMs() - movedAtMs
      }))
  }
}
