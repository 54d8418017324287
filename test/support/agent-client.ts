// A bare agent for tests of the controller: keys, enrolment and sessions with the protocol package over real HTTP
// and WebSocket. It carries nothing out; tests say what it sends, and may make it break the rules.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import {
  type AgentEndEvent,
  type AgentEndState,
  type AssertionClaims,
  agentCapabilities,
  agentEndDueAtMs,
  beginAgentEnd,
  createAgentCodec,
  type DeliveredDown,
  enrolAnswer,
  generateEncryptionKey,
  generateSigningKey,
  type HelloMessage,
  joinClaims,
  newNonce,
  readUnverified,
  type SessionEnd,
  type SigningKey,
  signJws,
  stepAgentEnd,
  subprotocol,
  type VerifyKey,
  verifyEnrolAnswer
} from '@longshore/protocol'
import { WebSocket } from 'ws'

export const facts = {
  os: 'test',
  kernel: '6',
  architecture: 'x64',
  engineVersion: null,
  engineApiVersion: null,
  imageStore: null,
  cpus: 1,
  memoryBytes: 1
}
const nonce = (): string => newNonce(randomBytes(16))
export const helloOf = (hostName: string): HelloMessage => ({
  type: 'hello',
  agentVersion: '9.9.9',
  hostName,
  facts,
  policy: { state: 'absent', path: null, detail: '' },
  inventory: {
    isEngineReachable: true,
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null
  },
  marks: [],
  runs: [],
  clockSkewMs: 0
})

export type Machine = { key: SigningKey; hostName: string }
export const newMachine = async (hostName: string): Promise<Machine> => ({
  key: (await generateSigningKey()).key,
  hostName
})

export type Answer = { status: number; body: Record<string, unknown> }

/** @returns the controller's answer as it is */
export const enrol = async (url: string, machine: Machine, token: string): Promise<Answer> => {
  const join = readUnverified('join', token, joinClaims)
  const claims = {
    installation: join.installation,
    token,
    hostName: machine.hostName,
    encryptionKey: (await generateEncryptionKey()).publicJwk,
    facts,
    nonce: nonce(),
    labels: { host: 'own' },
    issuedAtMs: Date.now()
  }
  const request = await signJws('enrol', claims, machine.key, { embedKey: true })
  const answer = await fetch(`${url}/v1/agents/enrol`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ request })
  })
  const body = (await answer.json()) as Record<string, unknown>
  if (typeof body['answer'] === 'string') {
    await verifyEnrolAnswer(body['answer'], {
      trusted: join.key,
      nonce: claims.nonce,
      installation: join.installation
    })
    return { status: answer.status, body: readUnverified('enrol-answer', body['answer'], enrolAnswer) }
  }
  return { status: answer.status, body }
}

export const assertionOf = (
  machine: Machine,
  installation: string,
  change: Partial<Record<keyof AssertionClaims, unknown>> = {}
): Promise<string> => {
  const claims = {
    installation,
    key: machine.key.kid,
    jti: nonce(),
    issuedAtMs: Date.now(),
    minor: 0,
    capabilities: [...agentCapabilities],
    nonce: nonce(),
    ...change
  }
  return signJws('assertion', claims, machine.key)
}

const socketTo = (
  url: string,
  assertion: string,
  options: { protocol?: string; headers?: object } = {}
): WebSocket =>
  new WebSocket(`${url.replace('http', 'ws')}/v1/agents/session`, options.protocol ?? subprotocol, {
    headers: { authorization: `Bearer ${assertion}`, ...options.headers }
  })

/** The refusal before the upgrade. Rejects when the controller upgrades. */
export const refusalOf = (
  url: string,
  assertion: string,
  options?: Parameters<typeof socketTo>[2]
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const socket = socketTo(url, assertion, options)
    socket.on('error', reject)
    socket.on('open', () => {
      socket.terminate()
      reject(new Error('the session was opened'))
    })
    socket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (part) => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }))
    })
  })

export type Client = {
  socket: WebSocket
  delivered: DeliveredDown[]
  send(event: Extract<AgentEndEvent, { kind: 'messages-queued' }>['messages']): void
  end: Promise<SessionEnd>
  /** Of the WebSocket: close code and reason. */
  closed: Promise<{ code: number; reason: string }>
  sid(): string
}

/** Resolves once `hello` was sent. */
export const connect = async (
  url: string,
  machine: Machine,
  controller: { installation: string; key: VerifyKey },
  options: {
    answersPings?: boolean
    isCandidate?: boolean
    hear?: (message: DeliveredDown, client: Client) => void
  } = {}
): Promise<Client> => {
  const clientNonce = nonce()
  const assertion = await assertionOf(machine, controller.installation, {
    nonce: clientNonce,
    ...(options.isCandidate === true && { isCandidate: true })
  })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/agents/session`, subprotocol, {
    headers: { authorization: `Bearer ${assertion}` },
    autoPong: options.answersPings ?? true
  })
  const delivered: DeliveredDown[] = []
  const established = Promise.withResolvers<void>()
  const end = Promise.withResolvers<SessionEnd>()
  let state: AgentEndState = beginAgentEnd({ clientNonce, atMs: performance.now() })
  let sid = ''
  const step = (event: AgentEndEvent): void => {
    const next = stepAgentEnd(state, event)
    state = next.state
    for (const effect of next.effects) {
      if (effect.kind === 'send') {
        sid = effect.frame.sid
        codec.send(effect.frame)
      }
      if (effect.kind === 'greet')
        step({ kind: 'hello-prepared', atMs: performance.now(), hello: helloOf(machine.hostName) })
      if (effect.kind === 'establish') void codec.flushed().then(established.resolve)
      if (effect.kind === 'deliver') {
        delivered.push(...effect.messages)
        for (const message of effect.messages) options.hear?.(message, client)
      }
      if (effect.kind === 'close') end.resolve(effect.end)
    }
    if (agentEndDueAtMs(state) === undefined) codec.stopReceiving()
  }
  const codec = createAgentCodec(
    {
      key: machine.key,
      keyOf: (kid) => (kid === controller.key.kid ? controller.key : undefined),
      nowMs: Date.now,
      clientNonce
    },
    {
      received: ({ frame, session }) =>
        step({ kind: 'frame-received', atMs: performance.now(), frame, session }),
      signed: (jws) => socket.send(jws),
      failed: (error) =>
        step({ kind: 'frame-refused', atMs: performance.now(), code: error.code, detail: error.message })
    }
  )
  socket.on('message', (data: Buffer) => codec.receive(data))
  const closed = once(socket, 'close').then(([code, reason]) => ({
    code: Number(code),
    reason: String(reason)
  }))
  void closed.then(async () => {
    // the last frames may still be at their signature check
    while (codec.receivingBytes > 0) await nextTurn()
    step({ kind: 'connection-lost', atMs: performance.now() })
  })
  const client: Client = {
    socket,
    delivered,
    send: (messages) => step({ kind: 'messages-queued', atMs: performance.now(), messages }),
    end: end.promise,
    closed,
    sid: () => sid
  }
  await established.promise
  return client
}
