// Which session is an agent's, and what becomes of its messages? Welcomes each admitted connection, decides between
// two of one key, hands messages to the engine in order, and acknowledges reports once they are durable.
import {
  type AgentId,
  beginDuplicate,
  type DeliveredUp,
  type DownMessage,
  type DuplicateState,
  type DuplicateStep,
  type HelloMessage,
  limits,
  newNonce,
  ProtocolError,
  type QueuedDown,
  runReport,
  type SessionEnd,
  sessionIdOf,
  stepDuplicate,
  type VerifyKey,
  verifyJws
} from '@longshore/protocol'
import type { WebSocket } from 'ws'
import type { Admission } from '../../engine/admit-agent.ts'
import type { Deployments } from '../../engine/deployments.ts'
import type { Fleet } from '../../engine/fleet.ts'
import type { Installation } from '../../engine/installation.ts'
import type { Presences } from '../../engine/presence.ts'
import type { AgentLink, Clock, Log, Random } from '../../ports.ts'
import { type Connection, openConnection } from './connection.ts'

/** What the gateway hands on to. Given at `serve`, because the engine needs the link before. */
export type Receivers = { fleet: Fleet; deployments: Deployments; presences: Presences }
export type GatewayPorts = { installation: Installation; clock: Clock; random: Random; log: Log }

export type Gateway = AgentLink & {
  serve(receivers: Receivers): void
  opened(socket: WebSocket, admission: Admission, address: string): Promise<void>
  /** Faults of agents since the start, by code. */
  faults(): Record<string, number>
  /** `bye(reconnect)` to everyone; resolves when every connection is closed. */
  stop(): Promise<void>
}

/** The last life sign is written at most this often while a session lasts. */
const persistSeenEveryMs = 60_000
/** Messages of one agent that wait for the engine before its socket is read no further. */
const maxWaitingMessages = 256

type Session = {
  name: string
  agent: AgentId
  key: VerifyKey
  address: string
  connection: Connection
  hello: HelloMessage | undefined
  isAdmitted: boolean
  /** Messages before admission; the socket is paused then, so they are few. */
  early: DeliveredUp[]
  work: Promise<void>
  waiting: number
  persistedAtMs: number
}
type Duplicate = { state: DuplicateState; cancelTimer: () => void }

export const createGateway = (ports: GatewayPorts): Gateway => {
  const open = new Map<string, Session>()
  const current = new Map<AgentId, Session>()
  const duplicates = new Map<AgentId, Duplicate>()
  const faults = new Map<string, number>()
  let receivers: Receivers | undefined
  let opened = 0
  let isStopping = false

  const to = (): Receivers => {
    if (receivers === undefined) throw new TypeError('the gateway serves nobody yet')
    return receivers
  }
  const enqueue = (session: Session, what: () => Promise<void>): void => {
    session.work = session.work.then(what).catch((error: unknown) => fail(session, error))
  }
  const fail = (session: Session, error: unknown): void => {
    if (error instanceof ProtocolError) {
      session.connection.close('protocol', error.code, error.message)
      return
    }
    ports.log.error({ agent: session.agent, err: error }, 'a message of an agent could not be handled')
    session.connection.close('reconnect', null, 'the controller failed')
  }

  const established = (session: Session, hello: HelloMessage): void => {
    session.hello = hello
    const first = current.get(session.agent)
    if (first === undefined) {
      admit(session)
      return
    }
    session.connection.pause()
    const running = duplicates.get(session.agent)
    const atMs = performance.now()
    if (running !== undefined) {
      const event = { kind: 'session-established' as const, atMs, connection: session.name }
      carryOut(session.agent, stepDuplicate(running.state, event))
    } else {
      carryOut(session.agent, beginDuplicate({ first: first.name, second: session.name, atMs }))
    }
  }
  const carryOut = (agent: AgentId, { state, effects }: DuplicateStep): void => {
    duplicates.get(agent)?.cancelTimer()
    duplicates.delete(agent)
    if (state.phase === 'probing') {
      const delayMs = Math.max(0, Math.ceil(state.untilAtMs - performance.now()))
      const wake = () => tell(agent, { kind: 'time-passed', atMs: performance.now() })
      const timer = setTimeout(wake, delayMs).unref()
      duplicates.set(agent, { state, cancelTimer: () => clearTimeout(timer) })
    }
    for (const effect of effects) {
      const session = open.get(effect.connection)
      if (session === undefined) continue
      switch (effect.kind) {
        case 'probe':
          session.connection.probe()
          break
        case 'admit':
          admit(session)
          break
        case 'replace':
          session.connection.close('replaced', null, 'it did not answer, and the agent connected again')
          break
        case 'refuse':
          refuseDuplicate(session)
          break
        default:
          effect satisfies never
      }
    }
  }
  const tell = (agent: AgentId, event: Parameters<typeof stepDuplicate>[1]): void => {
    const running = duplicates.get(agent)
    if (running !== undefined) carryOut(agent, stepDuplicate(running.state, event))
  }
  const refuseDuplicate = (session: Session): void => {
    session.connection.close('replaced', 'duplicate-session', 'another machine with this key is connected')
    void to()
      .fleet.duplicateRefused(session.agent, session.address)
      .catch((error: unknown) => ports.log.error({ err: error }, 'a duplicate session could not be recorded'))
  }

  const admit = (session: Session): void => {
    const { agent, hello } = session
    if (hello === undefined) throw new TypeError('a session is admitted after its hello')
    current.set(agent, session)
    session.isAdmitted = true
    session.connection.resume()
    enqueue(session, async () => {
      const { fleet, deployments, presences } = to()
      if (!(await fleet.introduced(agent, hello))) {
        session.connection.close('revoked', 'revoked', 'the agent was revoked while it connected')
        return
      }
      session.persistedAtMs = ports.clock.nowMs()
      presences.connected(agent)
      presences.observed(agent, hello.inventory)
      deployments.observed(agent, hello.inventory)
      await presences.announce(agent)
      await deployments.agentConnected(agent, hello)
      ports.log.info({ agent, host: hello.hostName, address: session.address }, 'an agent is connected')
    })
    for (const message of session.early.splice(0)) receive(session, message)
  }
  const receive = (session: Session, message: DeliveredUp): void => {
    if (!session.isAdmitted) {
      session.early.push(message)
      return
    }
    session.waiting += 1
    if (session.waiting > maxWaitingMessages) session.connection.pause()
    enqueue(session, async () => {
      try {
        await handle(session, message)
      } finally {
        session.waiting -= 1
        if (session.waiting === 0) session.connection.resume()
      }
    })
  }
  const handle = async (session: Session, message: DeliveredUp): Promise<void> => {
    const { agent, key } = session
    const { fleet, deployments, presences } = to()
    switch (message.type) {
      case 'accepted':
        return deployments.accepted(agent, message.command)
      case 'refused':
        return deployments.refused(agent, message)
      case 'progress':
        return deployments.progress(agent, message)
      case 'report': {
        const keyOf = (kid: string) => (kid === key.kid ? key : undefined)
        const report = await verifyJws('receipt', message.jws, keyOf, runReport)
        await deployments.reported(agent, report)
        const reportsUpTo = await fleet.reportsUpTo(agent)
        session.connection.send([{ type: 'ack', reportsUpTo }])
        return
      }
      case 'inventory':
        presences.observed(agent, message.inventory)
        deployments.observed(agent, message.inventory)
        return presences.announce(agent)
      default:
        return message satisfies never
    }
  }
  const alive = (session: Session): void => {
    tell(session.agent, { kind: 'life-heard', atMs: performance.now(), connection: session.name })
    if (!session.isAdmitted || current.get(session.agent) !== session) return
    to().presences.seen(session.agent)
    const nowMs = ports.clock.nowMs()
    if (nowMs - session.persistedAtMs < persistSeenEveryMs) return
    session.persistedAtMs = nowMs
    enqueue(session, () => to().fleet.lastSeen(session.agent, nowMs))
  }
  const ended = (session: Session, end: SessionEnd): void => {
    open.delete(session.name)
    count(session, end)
    const wasCurrent = current.get(session.agent) === session
    if (wasCurrent) current.delete(session.agent)
    tell(session.agent, { kind: 'connection-ended', atMs: performance.now(), connection: session.name })
    if (!wasCurrent || current.has(session.agent)) return
    const { fleet, deployments, presences } = to()
    enqueue(session, async () => {
      if (current.has(session.agent)) return
      const seenAtMs = presences.lastSeenAtMs(session.agent)
      presences.disconnected(session.agent)
      if (seenAtMs !== null) await fleet.lastSeen(session.agent, seenAtMs)
      await presences.announce(session.agent)
      await deployments.agentDisconnected(session.agent)
    })
  }
  const count = ({ agent, address }: Session, end: SessionEnd): void => {
    const code = end.by === 'us' ? end.code : null
    if (code !== null) faults.set(code, (faults.get(code) ?? 0) + 1)
    const level = code === null ? 'info' : 'warn'
    ports.log[level]({ agent, address, end }, 'a session has ended')
  }

  return {
    serve: (given) => {
      receivers = given
    },
    opened: async (socket, { agent, key, claims }, address) => {
      // frames may arrive while the session id is computed
      socket.pause()
      const serverNonce = newNonce(ports.random.bytes(16))
      const welcome = {
        type: 'welcome' as const,
        session: await sessionIdOf(claims.nonce, serverNonce),
        agent: agent.id,
        environment: agent.environment,
        labels: agent.labels,
        clientNonce: claims.nonce,
        serverNonce,
        nowMs: ports.clock.nowMs(),
        pingIntervalMs: limits.pingIntervalMs,
        silenceLimitMs: limits.silenceLimitMs,
        reportsUpTo: agent.reportsUpTo
      }
      if (isStopping) {
        socket.terminate()
        return
      }
      opened += 1
      const connection = openConnection(
        socket,
        { key: ports.installation.key, agentKey: key, welcome, nowMs: ports.clock.nowMs },
        {
          established: (hello) => established(session, hello),
          delivered: (messages) => {
            for (const message of messages) receive(session, message)
          },
          alive: () => alive(session),
          ended: (end) => ended(session, end)
        }
      )
      const session: Session = {
        name: `${agent.id}#${opened}`,
        agent: agent.id,
        key,
        address,
        connection,
        hello: undefined,
        isAdmitted: false,
        early: [],
        work: Promise.resolve(),
        waiting: 0,
        persistedAtMs: 0
      }
      open.set(session.name, session)
      connection.resume()
    },
    isConnected: (agent) => current.has(agent),
    send: (agent, messages) => current.get(agent)?.connection.send(messages.filter(isQueued)) ?? false,
    close: (agent, reason, detail) => {
      for (const session of [...open.values()].filter((one) => one.agent === agent)) {
        session.connection.close(reason, reason === 'revoked' ? 'revoked' : null, detail)
      }
    },
    faults: () => Object.fromEntries(faults),
    stop: async () => {
      isStopping = true
      const sessions = [...open.values()]
      for (const { connection } of sessions) connection.close('reconnect', null, 'the controller is stopping')
      await Promise.all(sessions.map(({ connection }) => connection.closed))
      await Promise.all(sessions.map(({ work }) => work))
    }
  }
}

/** `welcome` and `bye` are the session machine's own. */
const isQueued = (message: DownMessage): message is QueuedDown =>
  message.type !== 'welcome' && message.type !== 'bye'
