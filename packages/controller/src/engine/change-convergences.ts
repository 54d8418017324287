// What convergence writes, in the transaction given: tries that begin and end, hosts that are given up or forgotten.
// What is to be sent, logged and told after the commit is returned, not done.
import type { AgentId } from '@longshore/protocol'
import { afterReturn, begun, ended, isGivenUp, maxTries, type TryEnd } from '../core/convergence/decide.ts'
import { type DeploymentState, isPreempted } from '../core/deployment/state.ts'
import { givenUpNotice } from '../core/notifications/compose.ts'
import type { ConvergenceRow, DeploymentRow, Tx } from '../ports.ts'
import { beginConvergence, type ConvergencePorts } from './begin-convergence.ts'
import type { HostMemory } from './host-knowledge.ts'
import { oweNotices } from './owe-notices.ts'
import type { Committed } from './persist-step.ts'
import { type Change, planConvergence } from './plan-convergence.ts'
import { stateOf } from './view-deployment.ts'

export type ChangePorts = ConvergencePorts & { hosts: HostMemory }

/** What a change led to, for those who hear of it after the commit. */
export type Done = { committed?: Committed; level: 'debug' | 'info' | 'warn'; fields: object; text: string }

/** Planned anew inside the transaction: a deployment may have begun since. */
export const actIn = async (tx: Tx, ports: ChangePorts, environment: string): Promise<Done[]> => {
  const row = await tx.environment(environment)
  if (row === undefined) return []
  const { changes } = await planConvergence(tx, ports.hosts, row, ports.clock.nowMs())
  const done: Done[] = []
  for (const change of changes) done.push(...(await makeChange(tx, ports, change)))
  return done
}

const makeChange = async (tx: Tx, ports: ChangePorts, change: Change): Promise<Done[]> => {
  switch (change.kind) {
    case 'forget':
      await tx.deleteConvergence(change.at)
      return [{ level: 'debug', fields: change.at, text: 'the host is as it should be' }]
    case 'give-up':
      return putTries(tx, ports, change.row, { ...change.row, reason: change.reason })
    case 'start':
      return startOne(tx, ports, change)
    default:
      return change satisfies never
  }
}

const startOne = async (
  tx: Tx,
  ports: ChangePorts,
  { at, action, desired, tries, servedNothing, host, drift }: Extract<Change, { kind: 'start' }>
): Promise<Done[]> => {
  const wish =
    action.kind === 'remove' ? { recreate: false, removed: action.containers } : { recreate: action.recreate }
  const committed = await beginConvergence(tx, ports, { ...at, ...wish })
  if (committed === undefined) return []
  const deployment = committed.after.id
  await tx.putConvergence({ ...at, ...begun(desired, { tries, deployment, servedNothing }) })
  const { environment, service } = at
  const fields = { environment, service, host, deployment }
  return [{ committed, level: 'info', fields, text: `${drift}: try ${tries} of ${maxTries}` }]
}

/** The agent has come back: what was given up there is tried again. */
export const rememberReturn = async (tx: Tx, agent: AgentId): Promise<void> => {
  for (const row of await tx.convergences({ agent })) {
    const { environment, service } = row
    await tx.putConvergence({ environment, service, agent, ...afterReturn(row) })
  }
}

/** The row of the tries that a convergence is one of. */
export const rememberEnd = async (
  tx: Tx,
  ports: ChangePorts,
  { id, environment, service }: DeploymentRow
): Promise<Done[]> => {
  const done: Done[] = []
  for (const row of await tx.convergences({ environment, service }))
    if (row.deployment === id) done.push(...(await takeUp(tx, ports, row)))
  return done
}

/** A try whose deployment has ended, or is gone, is over. */
export const takeUp = async (tx: Tx, ports: ChangePorts, row: ConvergenceRow): Promise<Done[]> => {
  if (row.deployment === null) return []
  const deployment = await tx.deployment(row.deployment)
  if (deployment !== undefined && deployment.phase !== 'ended') return []
  const end: TryEnd =
    deployment === undefined
      ? { kind: 'failed', reason: 'the record of the last try is gone' }
      : endOf(stateOf(deployment))
  return putTries(tx, ports, row, { ...row, ...ended(row, end, ports.clock.nowMs()) })
}

/** Whoever is to be told hears of it once: when the last try has failed. */
const putTries = async (
  tx: Tx,
  { random, clock }: ChangePorts,
  before: ConvergenceRow,
  after: ConvergenceRow
): Promise<Done[]> => {
  await tx.putConvergence(after)
  const { environment, service, release, tries, reason } = after
  if (reason === null || isGivenUp(before) || !isGivenUp(after)) return []
  const host = (await tx.agent(after.agent))?.hostName ?? after.agent
  const nowMs = clock.nowMs()
  const notice = givenUpNotice({ environment, service, host, release, tries, reason }, nowMs)
  await oweNotices(tx, random, [notice], nowMs)
  return [{ level: 'warn', fields: { environment, service, host }, text: `cannot converge: ${reason}` }]
}

const endOf = (state: DeploymentState): TryEnd => {
  if (isPreempted(state)) return { kind: 'preempted' }
  const { outcome, reason } = state
  return outcome === 'succeeded' ? { kind: 'succeeded' } : { kind: 'failed', reason: reason ?? `${outcome}` }
}
