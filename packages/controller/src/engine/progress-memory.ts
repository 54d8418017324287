// The latest progress of each command, in memory only: what a deployment in progress shows of its hosts. What is
// announced of it is left to the driver.
import type { ProgressMessage } from '@longshore/protocol'
import type { ProgressView } from '../api/schemas.ts'
import type { CommandName } from '../core/deployment/events.ts'

export type ProgressMemory = {
  keep(deployment: string, command: CommandName, message: ProgressMessage): ProgressView
  of(deployment: string, command: CommandName): ProgressView | undefined
  /** The deployment has ended. */
  forget(deployment: string): void
}

export const createProgressMemory = (): ProgressMemory => {
  const latest = new Map<string, ProgressView>()
  return {
    keep: (deployment, command, { step, position, total, detail, bytes, connections, health }) => {
      const view: ProgressView = {
        step,
        position,
        total,
        ...(detail === undefined ? {} : { detail }),
        ...(bytes === undefined ? {} : { bytes }),
        ...(connections === undefined ? {} : { connections }),
        ...(health === undefined ? {} : { health })
      }
      latest.set(keyOf(deployment, command), view)
      return view
    },
    of: (deployment, command) => latest.get(keyOf(deployment, command)),
    forget: (deployment) => {
      for (const key of latest.keys()) if (key.startsWith(`${deployment} `)) latest.delete(key)
    }
  }
}

const keyOf = (deployment: string, { service, agent, index }: CommandName): string =>
  `${deployment} ${service} ${agent} ${index}`
