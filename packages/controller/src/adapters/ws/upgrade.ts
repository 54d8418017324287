// The door to a session: `GET /v1/agents/session` is upgraded when its assertion is good, else it is answered like
// any other refusal of the API (RFC 9457). Runs before the gateway knows of anything.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import proxyAddr from '@fastify/proxy-addr'
import { limits, ProtocolError, subprotocol } from '@longshore/protocol'
import { type WebSocket, WebSocketServer } from 'ws'
import { ApiError } from '../../api/errors.ts'
import { problemOfApi, problemOfProtocol, problemType } from '../../api/problems.ts'
import type { Problem } from '../../api/schemas.ts'
import type { Admission, AdmitAgent } from '../../engine/admit-agent.ts'
import { type Failures, isHarmless } from '../../engine/count-failures.ts'
import type { Meters } from '../../engine/meters.ts'
import type { Log } from '../../ports.ts'

export const sessionPath = '/v1/agents/session'

export type UpgradePorts = {
  admit: AdmitAgent
  failures: Failures
  meters: Pick<Meters, 'sessionRefused'>
  log: Log
  /** CIDRs of proxies whose `X-Forwarded-For` counts. */
  trustedProxies: readonly string[]
  isStopping(): boolean
  opened(socket: WebSocket, admission: Admission, address: string): Promise<void>
}

export type UpgradeHandler = (request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>

export const createUpgradeHandler = (ports: UpgradePorts): UpgradeHandler => {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    handleProtocols: () => subprotocol,
    // between one and two times the limit a frame is refused by its code; beyond, ws closes with 1009
    maxPayload: 2 * limits.maxFrameBytes
  })
  const trusts = proxyAddr.compile([...ports.trustedProxies])
  return async (request, socket, head) => {
    socket.on('error', () => socket.destroy())
    const address = proxyAddr(request, trusts) || 'unknown'
    try {
      const admission = await judge(ports, request, address)
      if (socket.destroyed) return
      server.handleUpgrade(request, socket, head, (webSocket) => {
        void ports.opened(webSocket, admission, address)
      })
    } catch (error) {
      if (error instanceof ProtocolError && !isHarmless(error.code)) ports.failures.count(address)
      const problem = problemOf(error)
      ports.meters.sessionRefused(problem.code)
      const level = problem.status === 500 ? 'error' : 'warn'
      ports.log[level]({ address, code: problem.code, err: error }, 'a session was refused')
      refuse(socket, problem)
    }
  }
}

const judge = async (ports: UpgradePorts, request: IncomingMessage, address: string): Promise<Admission> => {
  if (ports.isStopping()) throw new ApiError('stopping', 'connect again in a moment')
  if (request.url?.split('?', 1)[0] !== sessionPath)
    throw new ApiError('unknown-route', 'no session is opened here')
  ports.failures.demandPatience(address)
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  if (!offered.includes(subprotocol)) {
    throw new ProtocolError('unsupported-version', `this controller speaks ${subprotocol}`)
  }
  const [, assertion] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? []
  if (assertion === undefined) throw new ProtocolError('frame-malformed', 'no assertion was sent')
  return ports.admit(assertion)
}

const problemOf = (error: unknown): Problem => {
  if (error instanceof ProtocolError) return problemOfProtocol(error)
  return problemOfApi(
    error instanceof ApiError ? error : new ApiError('internal', 'see the log of the controller')
  )
}

const refuse = (socket: Duplex, problem: Problem): void => {
  const body = JSON.stringify(problem)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title.replace(/[^ -~]/g, ' ')}`,
    `content-type: ${problemType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close'
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
