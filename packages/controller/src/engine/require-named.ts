// Does what a request names exist? If not, the refusal brings what does exist, with the place of each, so that the
// edge can tell a token no more than it may know.
import { ApiError, type Existing } from '../api/errors.ts'
import type { DeploymentRow, EnvironmentRow, Reads, SpecRow } from '../ports.ts'

/** @throws ApiError `unknown-environment` */
export const requireEnvironment = async (reads: Reads, name: string): Promise<EnvironmentRow> => {
  const found = await reads.environment(name)
  if (found !== undefined) return found
  const existing = (await reads.environments()).map((row) => ({
    name: row.name,
    environment: row.name,
    services: null
  }))
  throw new ApiError('unknown-environment', `there is no environment ${name}`, { existing })
}

/** @param revision undefined: the latest. @throws ApiError `unknown-service`, also for an unknown revision */
export const requireSpec = async (
  reads: Reads,
  { environment, service }: { environment: string; service: string },
  revision?: number
): Promise<SpecRow> => {
  const found = await reads.spec(environment, service, revision)
  if (found !== undefined) return found
  const specs = await reads.specs({ environment })
  const latest = specs.find((row) => row.service === service)
  if (latest !== undefined) {
    const known = [`revisions 1 to ${latest.revision}`]
    throw new ApiError('unknown-service', `${service} in ${environment} has no revision ${revision}`, {
      known
    })
  }
  const existing = specs.map((row) => ({
    name: row.service,
    environment,
    services: [row.service]
  }))
  throw new ApiError('unknown-service', `no service ${service} has been applied to ${environment}`, {
    existing
  })
}

/** Enough to see a slip of the hand; the whole list is a request of its own. */
const mostListed = 10

/** @throws ApiError `unknown-deployment`, with the newest ones */
export const requireDeployment = async (reads: Reads, id: string): Promise<DeploymentRow> =>
  (await reads.deployment(id)) ?? refuseDeployment(reads, id)

/** What a token may not read is refused with the same words as what does not exist. */
export const refuseDeployment = async (reads: Reads, id: string): Promise<never> => {
  const newest = await reads.deployments({ limit: mostListed })
  const existing: Existing[] = []
  for (const { id: name, environment } of newest) {
    const services = (await reads.deploymentServices(name)).map(({ service }) => service)
    existing.push({ name, environment, services })
  }
  throw new ApiError('unknown-deployment', `there is no deployment ${id}`, { existing })
}
