// Freezes: a person wants no changes of a service, or of a whole environment. Set, taken away, and demanded to be
// absent by every request that would change something. A deployment in progress goes on.
import type { EnvironmentName, ServiceName } from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { FreezeAnswer, FreezeRequest } from '../api/schemas.ts'
import { describeFreeze, findFreeze } from '../core/requests/find-freeze.ts'
import type { Actor, Clock, FreezeRow, Reads, Store, Tx } from '../ports.ts'
import { requireEnvironment, requireSpec } from './require-named.ts'
import type { Writer } from './writer.ts'

export type Freezes = {
  /** Whoever froze it may change the reason. @throws ApiError `already-exists` when somebody else froze it */
  freeze(actor: Actor, environment: EnvironmentName, wish: FreezeRequest): Promise<FreezeAnswer>
  /** @throws ApiError `wrong-state` when there is no such freeze */
  unfreeze(actor: Actor, environment: EnvironmentName, service: ServiceName | null): Promise<void>
}
type FreezesPorts = { store: Store; writer: Writer; clock: Clock }

export const createFreezes = ({ writer, clock }: FreezesPorts): Freezes => ({
  freeze: (actor, environment, wish) => {
    const subject = subjectOf(environment, wish.service)
    const note = { actor, action: 'freeze.set', subject, request: wish }
    return writer.change(note, (tx) => freezeIn(tx, clock.nowMs(), actor, { environment, ...wish }))
  },
  unfreeze: (actor, environment, service) => {
    const note = { actor, action: 'freeze.remove', subject: subjectOf(environment, service), request: {} }
    return writer.change(note, (tx) => unfreezeIn(tx, environment, service))
  }
})

const subjectOf = (environment: string, service: string | null): string => `${environment}/${service ?? '*'}`

const freezeIn = async (
  tx: Tx,
  nowMs: number,
  actor: Actor,
  wish: Pick<FreezeRow, 'environment' | 'service' | 'reason'>
): Promise<FreezeAnswer> => {
  const { environment, service } = wish
  await requireEnvironment(tx, environment)
  if (service !== null) await requireSpec(tx, { environment, service })
  const former = (await tx.freezes(environment)).find((one) => one.service === service)
  if (former !== undefined && former.holder !== actor.name) {
    throw new ApiError('already-exists', describeFreeze(former, environment), { freeze: former })
  }
  const row = { ...wish, holder: actor.name, sinceMs: former?.sinceMs ?? nowMs }
  await tx.putFreeze(row)
  const running = await tx.deployments({ environment, ...(service && { service }), isEnded: false })
  return { ...row, inProgress: running.map(({ id }) => id) }
}

const unfreezeIn = async (
  tx: Tx,
  environment: EnvironmentName,
  service: ServiceName | null
): Promise<void> => {
  await requireEnvironment(tx, environment)
  const freezes = await tx.freezes(environment)
  if (freezes.some((one) => one.service === service)) return tx.deleteFreeze(environment, service)
  const what = service === null ? environment : `${service} in ${environment}`
  // whoever may unlock one service learns nothing about the others
  const told = freezes.filter((one) => service === null || one.service === null)
  const others = told.map((one) => describeFreeze(one, environment))
  throw new ApiError('wrong-state', [`${what} is not locked`, ...others].join('; '))
}

type Named = { environment: string; service: string }

/** Code `frozen`, with who froze it, since when and why; undefined: the service is free. */
export const findFrozen = async (
  reads: Reads,
  { environment, service }: Named
): Promise<ApiError | undefined> => {
  const freeze = findFreeze(await reads.freezes(environment), service)
  return freeze && new ApiError('frozen', describeFreeze(freeze, environment), { freeze })
}

/** @throws ApiError `frozen` */
export const requireUnfrozen = async (reads: Reads, named: Named): Promise<void> => {
  const frozen = await findFrozen(reads, named)
  if (frozen !== undefined) throw frozen
}
