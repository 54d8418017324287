// Issuers whose ID tokens are taken: set, listed, removed. Whom a token then stands for is left to id-tokens.ts.
import { ApiError } from '../api/errors.ts'
import type { IssuerView, Permission, SetIssuer } from '../api/schemas.ts'
import { refusalOfIssuer } from '../core/access/issuer-url.ts'
import { mayManageToken } from '../core/access/permissions.ts'
import type { Clock, IssuerRow, Store } from '../ports.ts'
import type { Installation } from './installation.ts'
import { type Caller, demandGrantable } from './tokens.ts'
import type { Writer } from './writer.ts'

/** More is a mistake. */
const maxIssuers = 100

export type Issuers = {
  /**
   * In the place of a former one of this name.
   * @throws ApiError `invalid-request` (its URL), `forbidden`, `wrong-state` (too many)
   */
  set(caller: Caller, name: string, wish: SetIssuer): Promise<IssuerView>
  /** Those that the caller may manage. */
  list(caller: Caller): Promise<IssuerView[]>
  /** @throws ApiError `unknown-issuer` with those that the caller may manage */
  remove(caller: Caller, name: string): Promise<void>
}

type Ports = { store: Store; writer: Writer; clock: Clock; installation: Installation }

export const createIssuers = (ports: Ports): Issuers => ({
  set: (caller, name, wish) => set(ports, caller, name, wish),
  list: async (caller) => (await ports.store.issuers()).filter((row) => mayManage(caller, row)),
  remove: (caller, name) => {
    const note = { actor: caller.actor, action: 'issuer.remove', subject: name, request: {} }
    return ports.writer.change(note, async (tx) => {
      const known = (await tx.issuers()).filter((row) => mayManage(caller, row)).map((row) => row.name)
      if (!known.includes(name)) throw new ApiError('unknown-issuer', `there is no issuer ${name}`, { known })
      await tx.deleteIssuer(name)
    })
  }
})

const set = async (ports: Ports, caller: Caller, name: string, wish: SetIssuer): Promise<IssuerView> => {
  const { writer, clock, installation } = ports
  const refusal = refusalOfIssuer(wish.url)
  if (refusal !== undefined) throw new ApiError('invalid-request', `the URL of an issuer: ${refusal}`)
  demandGrantable(caller, permissionsOf(wish))
  const row: IssuerRow = {
    name,
    ...wish,
    audience: wish.audience ?? installation.id,
    setAtMs: clock.nowMs(),
    setBy: caller.actor.name
  }
  const note = { actor: caller.actor, action: 'issuer.set', subject: name, request: wish }
  return writer.change(note, async (tx) => {
    const rows = await tx.issuers()
    const former = rows.find((one) => one.name === name)
    if (former !== undefined && !mayManage(caller, former))
      throw new ApiError('forbidden', `issuer ${name} allows more than this token may manage`)
    if (former === undefined && rows.length >= maxIssuers)
      throw new ApiError('wrong-state', `there are ${maxIssuers} issuers already`)
    await tx.putIssuer(row)
    return row
  })
}

const permissionsOf = ({ rules }: Pick<IssuerRow, 'rules'>): Permission[] =>
  rules.flatMap(({ allow }) => allow)

const mayManage = ({ allow }: Caller, row: IssuerRow): boolean => mayManageToken(allow, permissionsOf(row))
