// Environments and agents as the API sees them: listed, found by id or name, approved, revoked, removed, gone by themselves. How a
// machine becomes an agent is enrolment.ts; who is connected now is presence.ts.
import {
  type AgentId,
  type EnvironmentName,
  type HelloMessage,
  leaveClaims,
  ProtocolError,
  verifyJws
} from '@longshore/protocol'
import { ApiError } from '../api/errors.ts'
import type { AgentView, EnvironmentSettings, EnvironmentView } from '../api/schemas.ts'
import {
  type Actor,
  type AgentLink,
  type AgentRow,
  type Clock,
  type FreezeRow,
  type Store,
  StoreConflict,
  StoreFull,
  type Tx
} from '../ports.ts'
import { demandFresh, findAgent } from './admit-agent.ts'
import type { Deployments } from './deployments.ts'
import type { Installation } from './installation.ts'
import type { Presences } from './presence.ts'
import { requireEnvironment } from './require-named.ts'
import { requireNoHeir, setEnvironment, viewSettings } from './set-environment.ts'
import { auditRow, type Writer } from './writer.ts'

export type Fleet = {
  environments(): Promise<EnvironmentView[]>
  /** @throws ApiError `unknown-environment`, with what exists */
  requireEnvironment(name: string): Promise<void>
  createEnvironment(actor: Actor, name: EnvironmentName): Promise<EnvironmentView>
  /** @throws ApiError `unknown-environment`, `invalid-request` */
  setEnvironment(actor: Actor, name: string, settings: EnvironmentSettings): Promise<EnvironmentView>
  /** Its join tokens are revoked with it. @throws ApiError `in-use` while agents or specs are in it, or others promote from it */
  removeEnvironment(actor: Actor, name: string): Promise<void>
  agents(environment?: string): Promise<AgentView[]>
  /**
   * @param nameOrId an agent id, or a host name that is unique among the environments looked at
   * @throws ApiError `unknown-agent`, with what exists; `invalid-request` when several have the name
   */
  find(nameOrId: string, environments: readonly string[], preferred?: AgentRow['state']): Promise<AgentRow>
  view(row: AgentRow): AgentView
  approve(actor: Actor, agent: AgentRow): Promise<AgentView>
  revoke(actor: Actor, agent: AgentRow): Promise<AgentView>
  remove(actor: Actor, agent: AgentRow): Promise<void>
  /**
   * An agent says goodbye for good and is forgotten, whatever state it was in but revoked.
   * @param request compact JWS of kind `leave`
   * @throws ProtocolError `unknown-agent` and `revoked`: nothing is left to do; `clock-skew`, `signature-invalid`, ...
   */
  leave(request: string, address: string): Promise<void>
  /** What the agent said at the start of its session becomes its row. false: it was revoked or removed meanwhile. */
  introduced(agent: string, hello: HelloMessage): Promise<boolean>
  /** Keeps the last life sign over restarts of the controller; a full disk keeps none, and no session ends for it. */
  lastSeen(agent: string, atMs: number): Promise<void>
  /** Two machines use one key: an alert for the audit. */
  duplicateRefused(agent: AgentId, address: string): Promise<void>
  /** Highest report number that is durable: what may be acknowledged. */
  reportsUpTo(agent: string): Promise<number>
}

export type FleetPorts = {
  store: Store
  writer: Writer
  clock: Clock
  link: AgentLink
  installation: Installation
  presences: Presences
  /** What waits for agents. */
  deployments: Pick<Deployments, 'agentGone'>
}

export const createFleet = (ports: FleetPorts): Fleet => ({
  ...environmentsOf(ports),
  ...agentsOf(ports),
  ...sessionsOf(ports)
})

const environmentsOf = ({ store, writer, clock }: FleetPorts) =>
  ({
    environments: async () => {
      const [rows, agents, freezes] = await Promise.all([
        store.environments(),
        store.agents(),
        store.freezes()
      ])
      return rows.map((row) => ({
        ...viewSettings(row),
        agents: agents.filter((agent) => agent.environment === row.name).length,
        freeze: wholeFreeze(freezes, row.name)
      }))
    },
    requireEnvironment: async (name) => {
      await requireEnvironment(store, name)
    },
    createEnvironment: async (actor, name) => {
      const row = { name, createdAtMs: clock.nowMs() }
      const note = { actor, action: 'environment.create', subject: name, request: { name } }
      await writer.change(note, async (tx) => {
        if ((await tx.environment(name)) !== undefined) throw exists(name)
        await tx.insertEnvironment(row)
      })
      return { ...row, heal: false, promotesFrom: null, sources: null, freeze: null, agents: 0 }
    },
    setEnvironment: async (actor, name, settings) => {
      const note = { actor, action: 'environment.set', subject: name, request: settings }
      return writer.change(note, async (tx) => {
        const row = await setEnvironment(tx, name, settings)
        const agents = (await tx.agents({ environment: name })).length
        return { ...viewSettings(row), agents, freeze: wholeFreeze(await tx.freezes(name), name) }
      })
    },
    removeEnvironment: async (actor, name) => {
      const note = { actor, action: 'environment.remove', subject: name, request: {} }
      await writer.change(note, async (tx) => {
        await requireEnvironment(tx, name)
        await requireNoHeir(tx, name)
        await revokeJoinTokens(tx, name, clock.nowMs())
        await tx.deleteEnvironment(name).catch((error: unknown) => {
          throw error instanceof StoreConflict ? new ApiError('in-use', error.message) : error
        })
      })
    }
  }) satisfies Partial<Fleet>

const wholeFreeze = (freezes: readonly FreezeRow[], environment: string): EnvironmentView['freeze'] =>
  freezes.find((one) => one.environment === environment && one.service === null) ?? null

const exists = (name: string): ApiError => new ApiError('already-exists', `the environment ${name} exists`)

const revokeJoinTokens = async (tx: Tx, environment: string, nowMs: number): Promise<void> => {
  for (const token of await tx.joinTokens()) {
    if (token.environment === environment && token.revokedAtMs === null) {
      await tx.putJoinToken({ ...token, revokedAtMs: nowMs })
    }
  }
}

const agentsOf = (ports: FleetPorts) =>
  ({
    agents: async (environment) => {
      const rows = await ports.store.agents(environment === undefined ? {} : { environment })
      return rows.map(ports.presences.view)
    },
    find: async (nameOrId, environments, preferred) => {
      const rows = (await ports.store.agents()).filter((row) => environments.includes(row.environment))
      return pickAgent(rows, nameOrId, preferred)
    },
    view: ports.presences.view,
    approve: (actor, agent) => approve(ports, actor, agent),
    revoke: async (actor, agent) => {
      const note = { actor, action: 'agent.revoke', subject: agent.id, request: {} }
      const reason = `revoked by ${actor.name}`
      const row = await ports.writer.change(note, (tx) => revokeAgent(tx, agent, reason))
      return settled(ports, row, reason)
    },
    remove: (actor, agent) => forget(ports, actor, 'agent.remove', agent),
    leave: async (request, address) => {
      const { agent, key } = await findAgent(ports.store, request)
      const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
      const claims = await verifyJws('leave', request, keyOf, leaveClaims)
      // shown twice it finds nobody the second time
      const now = { kid: key.kid, nowMs: ports.clock.nowMs(), hasSeen: () => false }
      await demandFresh(ports.installation, claims, now)
      if (agent.state === 'revoked') throw new ProtocolError('revoked', agent.stateReason ?? undefined)
      const actor: Actor = { kind: 'agent', id: agent.id, name: agent.hostName, address }
      await forget(ports, actor, 'agent.leave', agent)
    }
  }) satisfies Partial<Fleet>

const forget = async (
  ports: FleetPorts,
  actor: Actor,
  action: 'agent.remove' | 'agent.leave',
  agent: AgentRow
): Promise<void> => {
  await ports.writer.change({ actor, action, subject: agent.id, request: {} }, (tx) =>
    tx.deleteAgent(agent.id)
  )
  await ports.deployments.agentGone(agent.id)
  ports.link.close(agent.id, 'revoked', `removed by ${actor.name}`)
  ports.presences.forget(agent.id)
}

/** @param preferred of several with the name, the only one in this state is meant */
const pickAgent = (
  rows: readonly AgentRow[],
  nameOrId: string,
  preferred: AgentRow['state'] | undefined
): AgentRow => {
  const byId = rows.find((row) => row.id === nameOrId)
  if (byId !== undefined) return byId
  const named = rows.filter((row) => row.hostName === nameOrId)
  const [first, ...others] = named.filter((row) => row.state !== 'revoked')
  const only = first ?? named.at(-1)
  if (only === undefined) {
    const known = [...new Set(rows.map((row) => row.hostName))].sort()
    throw new ApiError('unknown-agent', `there is no agent ${nameOrId}`, { known })
  }
  if (others.length === 0) return only
  const [meant, ...more] = named.filter((row) => row.state === preferred)
  if (meant !== undefined && more.length === 0) return meant
  const known = named.map((row) => `${row.id} (${row.environment}, ${row.state})`)
  throw new ApiError('invalid-request', `several agents are named ${nameOrId}: give the id of one`, { known })
}

/** The held agent takes the name; the one that had it is revoked, so that a name never has two live agents. */
const approve = async (ports: FleetPorts, actor: Actor, agent: AgentRow): Promise<AgentView> => {
  const note = { actor, action: 'agent.approve', subject: agent.id, request: {} }
  const former = await ports.writer.change(note, async (tx) => {
    const row = await demandAgent(tx, agent.id)
    if (row.state !== 'held')
      throw new ApiError('wrong-state', `agent ${row.hostName} is ${row.state}, not held`)
    const others = await tx.agents({ environment: row.environment })
    const active = others.filter((other) => other.hostName === row.hostName && other.state === 'active')
    for (const other of active)
      await revokeAgent(tx, other, `replaced by ${row.id}, approved by ${actor.name}`)
    await tx.putAgent({ ...row, state: 'active', stateReason: null })
    return active
  })
  for (const other of former) {
    await ports.deployments.agentGone(other.id)
    ports.link.close(other.id, 'replaced', `${agent.id} was approved for ${agent.hostName}`)
    await ports.presences.announce(other.id)
  }
  await ports.presences.announce(agent.id)
  return ports.presences.view(await demandAgent(ports.store, agent.id))
}

/** Inside a transaction: the agent's key is refused from now on. */
export const revokeAgent = async (tx: Tx, agent: AgentRow, reason: string): Promise<AgentRow> => {
  const row = { ...(await demandAgent(tx, agent.id)), state: 'revoked' as const, stateReason: reason }
  await tx.putAgent(row)
  return row
}

const settled = async (ports: FleetPorts, row: AgentRow, reason: string): Promise<AgentView> => {
  await ports.deployments.agentGone(row.id)
  ports.link.close(row.id, 'revoked', reason)
  await ports.presences.announce(row.id)
  return ports.presences.view(row)
}

const demandAgent = async (reads: Pick<Store, 'agent'>, id: string): Promise<AgentRow> => {
  const row = await reads.agent(id)
  if (row === undefined) throw new ApiError('unknown-agent', `agent ${id} was removed`)
  return row
}

const sessionsOf = ({ store, writer, clock }: FleetPorts) => {
  const amend = (id: string, change: (row: AgentRow) => AgentRow): Promise<AgentRow | undefined> =>
    writer.step(async (tx) => {
      const row = await tx.agent(id)
      if (row === undefined) return undefined
      const amended = change(row)
      await tx.putAgent(amended)
      return amended
    })
  return {
    introduced: async (agent, hello) => {
      const { agentVersion, facts, policy, clockSkewMs, encryptionKey } = hello
      const lastSeenAtMs = clock.nowMs()
      const row = await amend(agent, (was) => ({
        ...was,
        agentVersion,
        facts,
        policy,
        clockSkewMs,
        lastSeenAtMs,
        encryptionJwk: encryptionKey ?? was.encryptionJwk
      }))
      return row?.state === 'active'
    },
    lastSeen: async (agent, atMs) => {
      const seen = (row: AgentRow) => ({ ...row, lastSeenAtMs: Math.max(row.lastSeenAtMs ?? 0, atMs) })
      await amend(agent, seen).catch((error: unknown) => {
        if (!(error instanceof StoreFull)) throw error
      })
    },
    duplicateRefused: (agent, address) => {
      const actor: Actor = { kind: 'agent', id: agent, name: agent, address }
      const note = { actor, action: 'agent.duplicate-session', subject: agent, request: {} }
      return writer.step((tx) => tx.appendAudit(auditRow(note, 'duplicate-session', clock.nowMs())))
    },
    reportsUpTo: async (agent) => (await store.agent(agent))?.reportsUpTo ?? 0
  } satisfies Partial<Fleet>
}
