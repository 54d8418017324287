// A controller's HTTP side for tests of the CLI process: routes answer what the test prepared, and a request that
// was not prepared fails the test. Event streams stay open in the test's hand.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { deploymentId } from '@longshore/protocol'
import type {
  DeploymentEvent,
  DeploymentView,
  Outcome,
  TargetView
} from '../../packages/controller/src/api/schemas.ts'
import { deploymentView, targetView } from '../../packages/controller/src/api/schemas.ts'

export type Asked = { method: string; path: string; body: unknown; authorization: string | undefined }
type Answer = (response: ServerResponse, asked: Asked) => void | Promise<void>
export type StandIn = {
  url: string
  asked: Asked[]
  unprepared: string[]
  /** Takes the place of an earlier answer for the same route, `GET /v1/agents`. */
  on(route: string, answer: Answer): void
  /** Resolves with the next request for the route. */
  next(route: string): Promise<ServerResponse>
  stop(): Promise<void>
}

/** @param port 0: a free one */
export async function startStandIn(port = 0): Promise<StandIn> {
  const answers = new Map<string, Answer>()
  const waiting = new Map<string, ((response: ServerResponse) => void)[]>()
  const asked: Asked[] = []
  const unprepared: string[] = []
  const server = createServer((request, response) => {
    void answer(request, response)
  })
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? ''
    const route = `${request.method ?? ''} ${path}`
    const body = await text(request)
    const entry = {
      method: request.method ?? '',
      path,
      body: body === '' ? undefined : JSON.parse(body),
      authorization: request.headers.authorization
    }
    asked.push(entry)
    const taken = waiting.get(route)?.shift()
    if (taken !== undefined) return taken(response)
    const prepared = answers.get(route)
    if (prepared !== undefined) return void (await prepared(response, entry))
    unprepared.push(route)
    problem(response, 500, 'internal', `not prepared: ${route}`)
  }
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    asked,
    unprepared,
    on: (route, prepared) => void answers.set(route, prepared),
    next: (route) =>
      new Promise((resolve) => {
        waiting.set(route, [...(waiting.get(route) ?? []), resolve])
      }),
    stop: () => stopServer(server)
  }
}

const stopServer = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })

export function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

export function problem(
  response: ServerResponse,
  status: number,
  code: string,
  detail: string,
  extra: object = {}
): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' })
  response.end(JSON.stringify({ type: 'about:blank', title: code, status, code, detail, ...extra }))
}

export function openEvents(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(': open\n\n')
}

export function sendEvent(response: ServerResponse, event: DeploymentEvent): void {
  response.write(`id: 1\ndata: ${JSON.stringify(event)}\n\n`)
}

export const deploymentNumber = deploymentId.parse('dep_00000000000000000001')
export const at = '2026-01-02T03:04:05.000Z'

export const target = (host: string, fields: Partial<TargetView> = {}): TargetView =>
  targetView.parse({
    service: 'web',
    host,
    agent: 'agt_00000000000000000001',
    state: 'pending',
    serving: 'old',
    batch: null,
    ...fields
  })

const brought = {
  service: 'web',
  release: 8,
  previousRelease: 7,
  repository: 'registry.example/web',
  tag: '1.2.3',
  digest: null,
  specRevision: 3,
  unchanged: false
}

export const deployment = (fields: Partial<DeploymentView> = {}): DeploymentView =>
  deploymentView.parse({
    id: deploymentNumber,
    mode: 'deploy',
    ...brought,
    services: [brought],
    environment: 'staging',
    phase: 'requested',
    outcome: null,
    reason: null,
    what: { by: 'tag', tag: '1.2.3' },
    isCancelRequested: false,
    requestedBy: 'jenkins',
    requestReason: null,
    build: null,
    attemptOf: null,
    requestedAtMs: Date.parse(at),
    endedAtMs: null,
    targets: [],
    warnings: [],
    ...fields
  })

export const endedAs = (outcome: Outcome, targets: TargetView[] = []): DeploymentView =>
  deployment({
    phase: 'ended',
    outcome,
    targets,
    endedAtMs: Date.parse(at) + 42_000,
    reason: `it was ${outcome}`
  })
