// Which spec has a service in an environment? Applied as numbered revisions, a new one only when something
// changed; read back by revision. What a spec means is left to the protocol's spec/ and to deployments.
import type { EnvironmentName, ServiceName, ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { ApplyAnswer, SpecView } from '../api/schemas.ts'
import type { Actor, Clock, Reads, SpecRow, Store } from '../ports.ts'
import type { Writer } from './writer.ts'

export type SpecAddress = { environment: EnvironmentName; service: ServiceName }

export type Specs = {
  /** @throws ApiError `unknown-environment` */
  apply(actor: Actor, at: SpecAddress, spec: ServiceSpec, isDryRun: boolean): Promise<ApplyAnswer>
  /** @param revision undefined: the latest. @throws ApiError `unknown-environment`, `unknown-service` */
  view(at: SpecAddress, revision?: number): Promise<SpecView>
  list(filter: { environment?: string; service?: string }): Promise<SpecView[]>
}

export const createSpecs = ({
  store,
  writer,
  clock
}: {
  store: Store
  writer: Writer
  clock: Clock
}): Specs => ({
  apply: (actor, at, spec, isDryRun) => {
    if (isDryRun) return compare(store, at, spec)
    const { environment, service } = at
    const note = { actor, action: 'spec.apply', subject: `${environment}/${service}`, request: { spec } }
    return writer.change(note, async (tx) => {
      const answer = await compare(tx, at, spec)
      if (!answer.isChanged) return answer
      const revision = answer.revision + 1
      await tx.insertSpec({ ...at, revision, spec, appliedAtMs: clock.nowMs(), appliedBy: actor.name })
      return { ...answer, revision }
    })
  },
  view: async (at, revision) => {
    await demandEnvironment(store, at.environment)
    const row = await store.spec(at.environment, at.service, revision)
    return row ?? refuseUnknown(store, at, revision)
  },
  list: (filter) => store.specs(filter)
})

/** The answer as long as nothing is stored: its revision is the current one, 0 for none. */
const compare = async (reads: Reads, at: SpecAddress, spec: ServiceSpec): Promise<ApplyAnswer> => {
  await demandEnvironment(reads, at.environment)
  const current = await reads.spec(at.environment, at.service)
  // loaded here only: it brings the YAML reader along, which a controller's start should not wait for
  const { diffSpecs } = await import('@longshore/protocol/spec')
  const changes = diffSpecs(current?.spec ?? null, spec)
  return { ...at, revision: current?.revision ?? 0, isChanged: changes.length > 0, changes }
}

const demandEnvironment = async (reads: Reads, name: string): Promise<void> => {
  if ((await reads.environment(name)) !== undefined) return
  const known = (await reads.environments()).map((row) => row.name)
  throw new ApiError('unknown-environment', `there is no environment ${name}`, { known })
}

const refuseUnknown = async (
  reads: Reads,
  { environment, service }: SpecAddress,
  revision: number | undefined
): Promise<SpecRow> => {
  const specs = await reads.specs({ environment })
  const latest = specs.find((row) => row.service === service)
  if (latest === undefined) {
    const known = specs.map((row) => row.service)
    throw new ApiError('unknown-service', `no service ${service} has been applied to ${environment}`, {
      known
    })
  }
  throw new ApiError(
    'unknown-service',
    `${service} in ${environment} has no revision ${revision ?? ''}`.trim(),
    {
      known: [`revisions 1 to ${latest.revision}`]
    }
  )
}
