// Whose logs this session can read, and on which hosts each service is: what the view offers to choose from.
import type { AgentView, Permission, StatusView } from '@longshore/controller/api'
import { mayDo } from './may-do.ts'

/** @returns environments with the services whose logs may be read, in order */
export const readableServices = (
  statuses: readonly StatusView[],
  allow: readonly Permission[]
): { environment: string; services: string[] }[] => {
  const readable = statuses.filter(({ environment, service }) => mayDo(allow, 'logs', environment, service))
  const byEnvironment = Map.groupBy(readable, ({ environment }) => environment as string)
  return [...byEnvironment]
    .map(([environment, own]) => ({
      environment,
      services: own.map(({ service }) => service as string).sort()
    }))
    .sort((a, b) => (a.environment < b.environment ? -1 : 1))
}

/** Is there anything whose logs this session may read, perhaps? */
export const mayReadSomeLogs = (allow: readonly Permission[]): boolean =>
  allow.some((permission) => permission.startsWith('logs:') || permission.startsWith('*:'))

/** Where the service is, and where it is to be. */
export const hostsOfService = (
  statuses: readonly StatusView[],
  agents: Iterable<AgentView>,
  { environment, service }: { environment: string; service: string }
): string[] => {
  const own = statuses.filter((one) => one.environment === environment && one.service === service)
  const placed = own.flatMap(({ hosts }) => hosts.map(({ host }) => host as string))
  const running = [...agents].filter(
    (agent) =>
      agent.environment === environment &&
      agent.inventory?.containers.some((one) => one.environment === environment && one.service === service)
  )
  return [...new Set([...placed, ...running.map(({ name }) => name as string)])].sort()
}
