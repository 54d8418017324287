// Which spec has a service in an environment? Applied as numbered revisions, a new one only when something
// changed; read back by revision. What a spec means is left to the protocol's spec/ and to deployments.
import { agentService, type EnvironmentName, type ServiceName, type ServiceSpec } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { ApplyAnswer } from '../api/schemas.ts'
import { maxSpecBytes, specBytes } from '../core/delivery/spec-size.ts'
import type { Actor, Clock, Reads, SpecRow, Store } from '../ports.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'
import type { Writer } from './writer.ts'

export type SpecAddress = { environment: EnvironmentName; service: ServiceName }

export type Specs = {
  /** @throws ApiError `unknown-environment`; `invalid-request` when no command could carry the spec, or no host use it */
  apply(actor: Actor, at: SpecAddress, spec: ServiceSpec, isDryRun: boolean): Promise<ApplyAnswer>
  /** @param revision undefined: the latest. @throws ApiError `unknown-environment`, `unknown-service` */
  view(at: SpecAddress, revision?: number): Promise<SpecRow>
  list(filter: { environment?: string; service?: string }): Promise<SpecRow[]>
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
  apply: async (actor, at, spec, isDryRun) => {
    if (isDryRun) return compare(store, at, spec)
    const { environment, service } = at
    const { specHash } = await import('@longshore/protocol/spec')
    // Values of its environment may be secrets: the audit names the spec, the revision keeps it.
    const request = { specHash: await specHash(spec) }
    const note = { actor, action: 'spec.apply', subject: `${environment}/${service}`, request }
    return writer.change(note, async (tx) => {
      const answer = await compare(tx, at, spec)
      if (!answer.isChanged) return answer
      const revision = answer.revision + 1
      await tx.insertSpec({ ...at, revision, spec, appliedAtMs: clock.nowMs(), appliedBy: actor.name })
      return { ...answer, revision }
    })
  },
  view: async (at, revision) => {
    await requireEnvironment(store, at.environment)
    return requireSpec(store, at, revision)
  },
  list: (filter) => store.specs(filter)
})

/** The answer as long as nothing is stored: its revision is the current one, 0 for none. */
const compare = async (reads: Reads, at: SpecAddress, spec: ServiceSpec): Promise<ApplyAnswer> => {
  await requireEnvironment(reads, at.environment)
  demandOwnName(at)
  demandCarriable(at, spec)
  demandRouted(at, spec)
  const current = await reads.spec(at.environment, at.service)
  // loaded here only: it brings the YAML reader along, which a controller's start should not wait for
  const { diffSpecs } = await import('@longshore/protocol/spec')
  const changes = diffSpecs(current?.spec ?? null, spec)
  return { ...at, revision: current?.revision ?? 0, isChanged: changes.length > 0, changes }
}

const demandOwnName = ({ service }: SpecAddress): void => {
  if (service === agentService)
    throw new ApiError(
      'invalid-request',
      `${agentService} is the agents themselves, no service can have that name`
    )
}

const demandCarriable = ({ environment, service }: SpecAddress, spec: ServiceSpec): void => {
  const bytes = specBytes(spec)
  if (bytes <= maxSpecBytes) return
  throw new ApiError(
    'invalid-request',
    `the spec of ${service} in ${environment} has ${bytes} bytes as JSON; at most ${maxSpecBytes} fit into a signed command: move large values into files on the hosts`
  )
}

/** The reader of service files never makes such a spec; whoever writes one by hand may. */
const demandRouted = ({ environment, service }: SpecAddress, { routing, update }: ServiceSpec): void => {
  if ((routing !== null) === (update.order === 'start-first')) return
  throw new ApiError(
    'invalid-request',
    `the spec of ${service} in ${environment}: routing goes with order start-first, and only with that`
  )
}
