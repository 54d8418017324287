// The other end of the wire for tests of the agent: a real HTTP and WebSocket server on loopback, made of the
// protocol package, that can be told to misbehave. It decides nothing by itself beyond the handshake.
import { randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  type AgentId,
  type AssertionClaims,
  assertionClaims,
  type DownMessage,
  type EnrolClaims,
  enrolClaims,
  formatId,
  generateSigningKey,
  type InstallationId,
  importVerifyKey,
  newNonce,
  type SigningKey,
  sessionIdOf,
  signJws,
  type UpMessage,
  upFrame,
  type VerifyKey,
  verifyJws,
  verifyWithEmbeddedKey
} from '@longshore/protocol'
import { type WebSocket, WebSocketServer } from 'ws'

export type Problem = {
  status: number
  code: string
  time?: (jti: string, key: SigningKey) => Promise<string>
}
export type Misbehaviour = {
  refuseEnrol?: Problem
  /** Answers an enrolment or signs frames with a key that nobody vouches for. */
  signWith?: SigningKey
  refuseSession?: (claims: AssertionClaims) => Problem | undefined
  nonce?: string
  isSilent?: boolean
}

export type Peer = {
  socket: WebSocket
  send(messages: DownMessage[], options?: { seq?: number; key?: SigningKey }): Promise<string>
  /** The next message of this type, also one that came already. */
  next<T extends UpMessage['type']>(type: T): Promise<Extract<UpMessage, { type: T }>>
  closed: Promise<{ code: number; reason: string }>
}

export const startWireController = async (behaviour: Misbehaviour = {}) => {
  const installation = formatId<InstallationId>('ins', randomBytes(13))
  const agent = formatId<AgentId>('agt', randomBytes(13))
  const { key } = await generateSigningKey()
  const chain = [
    await signJws(
      'key',
      { installation, number: 1, key: key.publicJwk, previous: null, announcedAtMs: 0 },
      key
    )
  ]
  const peers: Peer[] = []
  const arrivals = new EventEmitter()
  const state = { behaviour, agentKey: undefined as VerifyKey | undefined, enrolments: [] as EnrolClaims[] }

  const server = createServer((request, response) => {
    const answer = (status: number, body: object): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    }
    if (request.url === '/v1/keys') return answer(200, { chain })
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const refusal = state.behaviour.refuseEnrol
      if (refusal) return answer(refusal.status, { code: refusal.code, detail: 'as the test wants' })
      void enrolOne(JSON.parse(Buffer.concat(chunks).toString()).request).then((jws) =>
        answer(200, { answer: jws })
      )
    })
  })
  const enrolOne = async (request: string): Promise<string> => {
    const { payload, key: agentKey } = await verifyWithEmbeddedKey('enrol', request, enrolClaims)
    state.enrolments.push(payload)
    state.agentKey = agentKey
    const nonce = state.behaviour.nonce ?? payload.nonce
    const claims = {
      nonce,
      agent,
      environment: 'staging',
      labels: {},
      state: 'active',
      keyChain: chain,
      nowMs: Date.now()
    }
    return signJws('enrol-answer', claims, state.behaviour.signWith ?? key)
  }

  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'longshore.v1' })
  server.on('upgrade', (request, socket, head) => {
    void admit(String(request.headers.authorization).replace('Bearer ', '')).then(async (result) => {
      if ('problem' in result) {
        const { status, code, time } = result.problem
        const body = JSON.stringify({ code, ...(time && { time: await time(result.claims.jti, key) }) })
        socket.end(
          `HTTP/1.1 ${status} X\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`
        )
        return
      }
      sockets.handleUpgrade(request, socket, head, (ws) => void greet(ws, result.claims))
    })
  })
  const admit = async (jws: string) => {
    const claims = await verifyJws('assertion', jws, () => state.agentKey, assertionClaims)
    const problem = state.behaviour.refuseSession?.(claims)
    return problem ? { claims, problem } : { claims }
  }
  const greet = async (socket: WebSocket, claims: AssertionClaims): Promise<void> => {
    const serverNonce = newNonce(randomBytes(16))
    const sid = await sessionIdOf(claims.nonce, serverNonce)
    const inbox: UpMessage[] = []
    const told = new EventEmitter()
    let sent = 0
    const closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }))
    let reading = Promise.resolve()
    socket.on('message', (data) => {
      reading = reading.then(async () => {
        const frame = await verifyJws('frame', String(data), () => state.agentKey, upFrame)
        inbox.push(...frame.messages)
        told.emit('message')
      })
    })
    const peer: Peer = {
      socket,
      closed,
      async send(messages, options = {}) {
        sent = options.seq ?? sent + 1
        const frame = { sid, seq: sent, at: Date.now(), messages }
        const jws = await signJws('frame', frame, options.key ?? state.behaviour.signWith ?? key)
        socket.send(jws)
        return jws
      },
      async next<T extends UpMessage['type']>(type: T) {
        for (;;) {
          const at = inbox.findIndex((message) => message.type === type)
          const [found] = at < 0 ? [] : inbox.splice(at, 1)
          if (found?.type === type) return found as Extract<UpMessage, { type: T }>
          await once(told, 'message')
        }
      }
    }
    peers.push(peer)
    arrivals.emit('peer')
    if (state.behaviour.isSilent === true) return
    await peer.send([
      {
        type: 'welcome',
        session: sid,
        agent,
        environment: 'staging' as never,
        labels: {},
        clientNonce: state.behaviour.nonce ?? claims.nonce,
        serverNonce,
        nowMs: Date.now(),
        pingIntervalMs: 15_000,
        silenceLimitMs: 40_000,
        reportsUpTo: 0
      }
    ])
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return {
    url,
    key,
    chain,
    installation,
    agent,
    state,
    identity: { installation, agent, environment: 'staging', labels: {}, trusted: key.kid, keyChain: chain },
    know: async (signing: SigningKey) => {
      state.agentKey = await importVerifyKey(signing.publicJwk)
    },
    joinToken: (signer: SigningKey = key) =>
      signJws(
        'join',
        {
          installation,
          id: formatId('tok', randomBytes(13)),
          key: key.kid,
          environment: 'staging',
          labels: {},
          issuedAtMs: 0,
          expiresAtMs: Date.now() + 60_000,
          uses: 1,
          replace: false
        },
        signer
      ),
    /** The n-th session that was opened, from 0. */
    async peer(index: number): Promise<Peer> {
      for (;;) {
        const found = peers[index]
        if (found) return found
        await once(arrivals, 'peer')
      }
    },
    close() {
      for (const client of sockets.clients) client.terminate()
      server.close()
      server.closeAllConnections()
    }
  }
}
