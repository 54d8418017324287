// Gathers for each environment what is known of it now, for core/metrics to sum up.
import { type EnvironmentMetrics, measureEnvironment } from '../core/metrics/measure-environment.ts'
import type { AgentRow, Clock, Reads } from '../ports.ts'
import { countMixed } from './find-mixed.ts'
import type { HostKnowledge } from './host-knowledge.ts'
import type { RunningDeployments } from './running-deployments.ts'

export type EnvironmentPorts = {
  store: Reads
  clock: Pick<Clock, 'nowMs'>
  hosts: HostKnowledge
  running: Pick<RunningDeployments, 'list'>
}

/** @param agents of the environments, all that are not revoked */
export const measureEnvironments = async (
  { store, clock, hosts, running }: EnvironmentPorts,
  environments: readonly string[],
  agents: readonly AgentRow[]
): Promise<EnvironmentMetrics[]> => {
  const nowMs = clock.nowMs()
  const commands = await store.countCommands()
  const deployments = running.list()
  const rows: EnvironmentMetrics[] = []
  for (const environment of environments) {
    const isOwn = (one: { environment: string }): boolean => one.environment === environment
    const own = agents.filter(isOwn)
    const active = own.filter(({ state }) => state === 'active')
    const mixedServices = await countMixed(store, hosts, active, environment)
    const known = own.map(({ id, state, lastSeenAtMs, facts }) => ({
      state,
      lastSeenAtMs,
      facts,
      isConnected: hosts.isConnected(id),
      inventory: hosts.freshInventoryOf(id)
    }))
    rows.push(
      measureEnvironment({
        environment,
        nowMs,
        agents: known,
        commands: commands.filter(isOwn),
        deployments: deployments.filter(isOwn),
        mixedServices
      })
    )
  }
  return rows
}
