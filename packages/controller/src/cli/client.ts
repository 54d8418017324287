// The controller's HTTP API as functions: one per route, answers read with the API's own schemas. Leaves
// sockets to send-request.ts and everything that people see to the commands.
import { text } from 'node:stream/consumers'
import * as z from 'zod'
import {
  type AgentView,
  type ApplyAnswer,
  agentView,
  apiTokenView,
  applyAnswer,
  createdToken,
  type DeploymentEvent,
  type DeploymentView,
  type DeployRequest,
  deploymentEvent,
  deploymentView,
  environmentView,
  joinTokenView,
  type Permission,
  problem,
  releaseView,
  serverInfo,
  statusView
} from '../api/schemas.ts'
import { CliError, ProblemError } from './cli-errors.ts'
import { emptyStream, readChunk } from './read-event-stream.ts'
import type { Settings } from './read-settings.ts'
import { describeFailure, type Request, readBody, sendRequest } from './send-request.ts'

export type Client = ReturnType<typeof createClient>
type Query = Record<string, string | number | boolean | undefined>
type JoinTokenRequest = {
  environment: string
  labels: Record<string, string>
  ttlMs?: number
  uses: number | null
  replace: boolean
}
type ApiTokenRequest = { name: string; allow: Permission[]; ttlMs: number | null }
/** The request as people type it: names are checked by the controller, which lists what exists. */
export type DeployAsked = Omit<DeployRequest, 'service' | 'environment' | 'what'> & {
  service: string
  environment: string
  what:
    | { by: 'tag'; tag: string }
    | { by: 'digest'; digest: string }
    | { by: 'rollback'; release: number | null }
}

/** Every function rejects with ProblemError (the controller refused) or CliError (it could not be asked). */
export function createClient(settings: Settings) {
  const ask = <S extends z.ZodType>(request: Omit<Request, 'accept'>, schema: S): Promise<z.infer<S>> =>
    askFor(settings, request, schema)
  const get = <S extends z.ZodType>(path: string, schema: S, signal?: AbortSignal): Promise<z.infer<S>> =>
    ask({ method: 'GET', path, ...(signal === undefined ? {} : { signal }) }, schema)
  const remove = async (path: string): Promise<void> => {
    await ask({ method: 'DELETE', path }, z.unknown())
  }
  const post = <S extends z.ZodType>(
    path: string,
    body: unknown,
    schema: S,
    signal?: AbortSignal
  ): Promise<z.infer<S>> =>
    ask({ method: 'POST', path, body, ...(signal === undefined ? {} : { signal }) }, schema)

  return {
    origin: settings.url.origin,
    info: () => get('/v1/info', serverInfo),

    environments: () => get('/v1/environments', z.array(environmentView)),
    createEnvironment: (name: string) => post('/v1/environments', { name }, environmentView),
    removeEnvironment: (name: string) => remove(at`/v1/environments/${name}`),

    joinTokens: () => get('/v1/join-tokens', z.array(joinTokenView)),
    createJoinToken: (body: JoinTokenRequest) => post('/v1/join-tokens', body, createdToken),
    revokeJoinToken: (id: string) => remove(at`/v1/join-tokens/${id}`),
    apiTokens: () => get('/v1/api-tokens', z.array(apiTokenView)),
    createApiToken: (body: ApiTokenRequest) => post('/v1/api-tokens', body, createdToken),
    revokeApiToken: (id: string) => remove(at`/v1/api-tokens/${id}`),

    agents: (query: { environment?: string | undefined }): Promise<AgentView[]> =>
      get(`/v1/agents${queryOf(query)}`, z.array(agentView)),
    changeAgent: async (verb: 'approve' | 'revoke', agent: string, query: Query): Promise<void> => {
      await post(at`/v1/agents/${agent}/${verb}` + queryOf(query), {}, z.unknown())
    },
    removeAgent: (agent: string, query: Query) => remove(at`/v1/agents/${agent}` + queryOf(query)),

    applySpec: (
      environment: string,
      service: string,
      body: { spec: unknown; dryRun: boolean }
    ): Promise<ApplyAnswer> =>
      ask(
        { method: 'PUT', path: at`/v1/environments/${environment}/services/${service}/spec`, body },
        applyAnswer
      ),

    deploy: (body: DeployAsked, signal: AbortSignal): Promise<DeploymentView> =>
      post('/v1/deployments', body, deploymentView, signal),
    deployments: (query: Query) => get(`/v1/deployments${queryOf(query)}`, z.array(deploymentView)),
    deployment: (id: string, signal?: AbortSignal) => get(at`/v1/deployments/${id}`, deploymentView, signal),
    cancel: async (id: string, signal?: AbortSignal): Promise<void> => {
      await post(at`/v1/deployments/${id}/cancel`, {}, z.unknown(), signal)
    },
    deploymentEvents: (id: string, signal: AbortSignal): AsyncGenerator<DeploymentEvent> =>
      readEvents(settings, at`/v1/deployments/${id}/events`, signal),

    releases: (query: Query) => get(`/v1/releases${queryOf(query)}`, z.array(releaseView)),
    status: (query: Query) => get(`/v1/status${queryOf(query)}`, z.array(statusView))
  }
}

/** A path whose variable parts are escaped. */
const at = (parts: TemplateStringsArray, ...values: string[]): string =>
  parts.map((part, index) => part + encodeURIComponent(values[index] ?? '')).join('')

function queryOf(query: Query): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as const]
  )
  return pairs.length === 0 ? '' : `?${String(new URLSearchParams(Object.fromEntries(pairs)))}`
}

async function askFor<S extends z.ZodType>(
  settings: Settings,
  request: Omit<Request, 'accept'>,
  schema: S
): Promise<z.infer<S>> {
  const answer = await sendRequest(settings, { ...request, accept: 'application/json' })
  const body = await readBody(answer, settings)
  const status = answer.statusCode ?? 0
  if (status < 200 || status > 299) throw readProblem(status, body, settings)
  const read = schema.safeParse(body === '' ? undefined : parseJson(body))
  if (read.success) return read.data
  throw new CliError(
    'unexpected-answer',
    `the answer to ${request.method} ${request.path} is not understood`,
    [
      z.prettifyError(read.error),
      'CLI and controller may be of different versions: see `longshore version --controller`'
    ]
  )
}

function readProblem(status: number, body: string, settings: Settings): Error {
  const read = problem.safeParse(parseJson(body))
  if (read.success) return new ProblemError(read.data)
  return new CliError(
    'unexpected-answer',
    `${settings.url.origin} answered with HTTP status ${String(status)}`,
    ['this is no answer of a Longshore controller; is LONGSHORE_URL right?']
  )
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

async function* readEvents(
  settings: Settings,
  path: string,
  signal: AbortSignal
): AsyncGenerator<DeploymentEvent> {
  const answer = await sendRequest(settings, { method: 'GET', path, accept: 'text/event-stream', signal })
  const status = answer.statusCode ?? 0
  if (status !== 200) throw readProblem(status, await text(answer), settings)
  answer.setEncoding('utf8')
  let state = emptyStream
  try {
    for await (const chunk of answer as AsyncIterable<string>) {
      const read = readChunk(state, chunk)
      state = read.state
      for (const data of read.events) {
        const event = deploymentEvent.safeParse(parseJson(data))
        // an event of a kind that a newer controller added changes nothing that is shown here
        if (event.success) yield event.data
      }
    }
  } catch (cause) {
    throw describeFailure(cause, settings, true)
  }
}
