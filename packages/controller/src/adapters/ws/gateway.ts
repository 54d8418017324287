// Which session is an agent's? Welcomes each admitted connection, makes it the agent's session after its hello, and
// tells the engine when one begins and ends. Between two of one key decides duplicates.ts; messages go through inbox.ts.
import {
  type AgentId,
  type DeliveredUp,
  type DownMessage,
  type DuplicateEffect,
  type HelloMessage,
  limits,
  newNonce,
  ProtocolError,
  type QueuedDown,
  type SessionEnd,
  sessionIdOf,
  type WelcomeMessage
} from '@longshore/protocol'
import type { WebSocket } from 'ws'
import type { Admission } from '../../engine/admit-agent.ts'
import type { Installation } from '../../engine/installation.ts'
import type { Meters } from '../../engine/meters.ts'
import type { AgentLink, Clock, Log, Random } from '../../ports.ts'
import { type Connection, openConnection } from './connection.ts'
import { createDuplicates, type Duplicates } from './duplicates.ts'
import { type Heard, hearMessage, isLogs, type Receivers } from './hear-message.ts'
import { createInbox, type Inbox } from './inbox.ts'

export type GatewayPorts = {
  installation: Installation
  clock: Clock
  /** Never jumps: for liveness and time limits of sessions. */
  steadyClock: Clock
  random: Random
  log: Log
  meters: Pick<Meters, 'sessionStarted' | 'sessionEnded'>
  /** Told how many hosts are connected whenever that changes. */
  supervisor: { connectedChanged(count: number): void }
}

export type Gateway = AgentLink & {
  /** Apart from the creation, because the engine needs the link before. */
  serve(receivers: Receivers): void
  opened(socket: WebSocket, admission: Admission, address: string): Promise<void>
  /** `bye(reconnect)` to everyone; resolves when every connection is closed. */
  stop(): Promise<void>
}

/** The last life sign is written at most this often while a session lasts. */
const persistSeenEveryMs = 60_000

type Session = {
  name: string
  agent: AgentId
  address: string
  capabilities: readonly string[]
  /** Tried beside the agent: it is answered, and never counts. */
  isCandidate: boolean
  connection: Connection
  inbox: Inbox
  hello: HelloMessage | undefined
  isAdmitted: boolean
  persistedAtMs: number
}
type Gate = GatewayPorts & {
  open: Map<string, Session>
  /** The session that counts. */
  current: Map<AgentId, Session>
  duplicates: Duplicates
  receivers(): Receivers
}

export const createGateway = (ports: GatewayPorts): Gateway => {
  let receivers: Receivers | undefined
  let opened = 0
  let isStopping = false
  const gate: Gate = {
    ...ports,
    open: new Map(),
    current: new Map(),
    duplicates: createDuplicates(ports.steadyClock, (effect) => settleDuplicate(gate, effect)),
    receivers: () => {
      if (receivers === undefined) throw new TypeError('the gateway serves nobody yet')
      return receivers
    }
  }
  const { open, current } = gate
  return {
    serve: (given) => {
      receivers = given
    },
    opened: async (socket, admission, address) => {
      // frames may arrive while the session id is computed
      socket.pause()
      const welcome = await welcomeFor(ports, admission)
      if (isStopping) {
        socket.terminate()
        return
      }
      opened += 1
      beginSession(gate, { name: `${admission.agent.id}#${opened}`, socket, admission, address, welcome })
    },
    isConnected: (agent) => current.has(agent),
    capabilitiesOf: (agent) => current.get(agent)?.capabilities ?? [],
    send: (agent, messages) => current.get(agent)?.connection.send(messages.filter(isQueued)) ?? false,
    close: (agent, reason, detail) => {
      for (const session of [...open.values()].filter((one) => one.agent === agent)) {
        session.connection.close(reason, reason === 'revoked' ? 'revoked' : null, detail)
      }
    },
    stop: async () => {
      isStopping = true
      const sessions = [...open.values()]
      for (const { connection } of sessions) connection.close('reconnect', null, 'the controller is stopping')
      await Promise.all(sessions.map(({ connection }) => connection.closed))
      await Promise.all(sessions.map(({ inbox }) => inbox.idle()))
    }
  }
}

const welcomeFor = async (
  { random, clock }: GatewayPorts,
  { agent, claims }: Admission
): Promise<WelcomeMessage> => {
  const serverNonce = newNonce(random.bytes(16))
  return {
    type: 'welcome',
    session: await sessionIdOf(claims.nonce, serverNonce),
    agent: agent.id,
    environment: agent.environment,
    labels: agent.labels,
    clientNonce: claims.nonce,
    serverNonce,
    nowMs: clock.nowMs(),
    pingIntervalMs: limits.pingIntervalMs,
    silenceLimitMs: limits.silenceLimitMs,
    reportsUpTo: agent.reportsUpTo
  }
}

type Opened = {
  name: string
  socket: WebSocket
  admission: Admission
  address: string
  welcome: WelcomeMessage
}

const beginSession = (gate: Gate, { name, socket, admission, address, welcome }: Opened): void => {
  const { agent, key, claims } = admission
  const connection = openConnection(
    socket,
    {
      key: gate.installation.key,
      agentKey: key,
      welcome,
      nowMs: () => gate.clock.nowMs(),
      steadyClock: gate.steadyClock
    },
    {
      established: (hello) => established(gate, session, hello),
      delivered: (messages) => deliver(gate, session, messages),
      alive: () => alive(gate, session),
      ended: (end) => ended(gate, session, end)
    }
  )
  const speaker = { agent: agent.id, key, answer: (messages: QueuedDown[]) => void connection.send(messages) }
  const inbox = createInbox({
    handle: (message) => hearMessage(gate.receivers(), speaker, message),
    failed: (error) => closeFailed(gate, session, error),
    pause: connection.pause,
    resume: connection.resume
  })
  const session: Session = {
    name,
    agent: agent.id,
    address,
    capabilities: claims.capabilities,
    isCandidate: claims.isCandidate === true,
    connection,
    inbox,
    hello: undefined,
    isAdmitted: false,
    persistedAtMs: 0
  }
  gate.open.set(name, session)
  connection.resume()
}

const established = (gate: Gate, session: Session, hello: HelloMessage): void => {
  session.hello = hello
  if (session.isCandidate) {
    answerCandidate(gate, session, hello)
    return
  }
  const first = gate.current.get(session.agent)
  if (first === undefined) {
    admit(gate, session)
    return
  }
  session.connection.pause()
  gate.duplicates.arrived(session.agent, { first: first.name, second: session.name })
}

const deliver = (gate: Gate, session: Session, messages: readonly DeliveredUp[]): void => {
  const others: Heard[] = []
  for (const message of messages) {
    if (!isLogs(message)) others.push(message)
    else if (gate.current.get(session.agent) === session) gate.receivers().logs.heard(session.agent, message)
  }
  session.inbox.receive(others)
}

/** Any message proves to it that its session would serve; this one changes nothing. It closes by itself. */
const answerCandidate = ({ log }: Gate, { agent, connection }: Session, hello: HelloMessage): void => {
  log.info({ agent, version: hello.agentVersion }, 'another version of an agent is tried, and answered')
  connection.send([{ type: 'ack', reportsUpTo: 0 }])
}

const settleDuplicate = (gate: Gate, effect: DuplicateEffect): void => {
  const session = gate.open.get(effect.connection)
  if (session === undefined) return
  switch (effect.kind) {
    case 'probe':
      session.connection.probe()
      break
    case 'admit':
      admit(gate, session)
      break
    case 'replace':
      session.connection.close('replaced', null, 'it did not answer, and the agent connected again')
      break
    case 'refuse':
      refuseDuplicate(gate, session)
      break
    default:
      effect satisfies never
  }
}

const refuseDuplicate = (gate: Gate, session: Session): void => {
  session.connection.close('replaced', 'duplicate-session', 'another machine with this key is connected')
  session.inbox.enqueue(() => gate.receivers().fleet.duplicateRefused(session.agent, session.address))
}

const admit = (gate: Gate, session: Session): void => {
  const { agent, hello, address, connection, inbox } = session
  if (hello === undefined) throw new TypeError('a session is admitted after its hello')
  gate.current.set(agent, session)
  gate.supervisor.connectedChanged(gate.current.size)
  gate.meters.sessionStarted()
  session.isAdmitted = true
  connection.resume()
  inbox.enqueue(async () => {
    const { fleet, deployments, presences, logs } = gate.receivers()
    if (!(await fleet.introduced(agent, hello))) {
      connection.close('revoked', 'revoked', 'the agent was revoked while it connected')
      return
    }
    session.persistedAtMs = gate.clock.nowMs()
    presences.connected(agent)
    presences.observed(agent, hello.inventory)
    deployments.observed(agent, hello.inventory)
    await presences.announce(agent)
    await deployments.agentConnected(agent, hello)
    logs.sessionBegan(agent)
    gate.log.info({ agent, host: hello.hostName, address }, 'an agent is connected')
  })
  inbox.open()
}

const alive = (gate: Gate, session: Session): void => {
  const { agent, inbox } = session
  gate.duplicates.alive(agent, session.name)
  if (!session.isAdmitted || gate.current.get(agent) !== session) return
  const { fleet, presences } = gate.receivers()
  presences.seen(agent)
  const nowMs = gate.clock.nowMs()
  if (nowMs - session.persistedAtMs < persistSeenEveryMs) return
  session.persistedAtMs = nowMs
  inbox.enqueue(() => fleet.lastSeen(agent, nowMs))
}

const ended = (gate: Gate, session: Session, end: SessionEnd): void => {
  const { agent, address, name, inbox } = session
  const level = end.by === 'us' && end.code !== null ? 'warn' : 'info'
  gate.log[level]({ agent, address, end }, 'a session has ended')
  gate.meters.sessionEnded(end)
  gate.open.delete(name)
  const wasCurrent = gate.current.get(agent) === session
  if (wasCurrent) {
    gate.current.delete(agent)
    gate.receivers().logs.sessionEnded(agent)
    gate.supervisor.connectedChanged(gate.current.size)
  }
  // may admit another one
  gate.duplicates.ended(agent, name)
  if (!wasCurrent || gate.current.has(agent)) return
  inbox.enqueue(async () => {
    if (gate.current.has(agent)) return
    const { fleet, deployments, presences } = gate.receivers()
    const seenAtMs = presences.lastSeenAtMs(agent)
    presences.disconnected(agent)
    if (seenAtMs !== null) await fleet.lastSeen(agent, seenAtMs)
    await presences.announce(agent)
    await deployments.agentDisconnected(agent)
  })
}

const closeFailed = ({ log }: Gate, { agent, connection }: Session, error: unknown): void => {
  if (error instanceof ProtocolError) {
    connection.close('protocol', error.code, error.message)
    return
  }
  log.error({ agent, err: error }, 'a message of an agent could not be handled')
  connection.close('reconnect', null, 'the controller failed')
}

/** `welcome` and `bye` are the session machine's own. */
const isQueued = (message: DownMessage): message is QueuedDown =>
  message.type !== 'welcome' && message.type !== 'bye'
