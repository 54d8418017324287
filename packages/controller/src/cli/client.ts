// The controller's HTTP API as functions: one per route, answers read with the API's own schemas. These load while
// the controller works on the request, not before it. Leaves sockets to send-request.ts and everything that people
// see to the commands.
import { text } from 'node:stream/consumers'
import type * as z from 'zod'
import type {
  AgentView,
  ApplyAnswer,
  DeploymentEvent,
  DeploymentView,
  DeployRequest,
  LogEvent,
  Permission,
  SpecView,
  WebhookFormat
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
type WebhookRequest = {
  name: string
  url: string
  format: WebhookFormat
  /** As people type them: the controller checks them. */
  environments: string[]
  events: string[]
}
type RegistryRequest = { host: string } & ({ username: string; password: string } | { helper: string })
type ApiTokenRequest = { name: string; allow: Permission[]; ttlMs: number | null }
type IssuerRequest = {
  url: string
  audience: string | null
  maxAgeMs?: number
  rules: { claims: Record<string, string>; allow: string[] }[]
  signIn: { clientId: string; clientSecret?: string; scopes: string[]; pageUrl: string } | null
}
type EnvironmentChange = { heal?: boolean; promotesFrom?: string | null; sources?: string[] | null }
/** The request as people type it: names are checked by the controller, which lists what exists. */
export type DeployAsked = Partial<Omit<DeployRequest, 'service' | 'environment' | 'what' | 'services'>> & {
  service: string
  environment: string
  what: WhatAsked
  services?: { service: string; what?: WhatAsked }[]
}
export type WhatAsked =
  | { by: 'tag'; tag: string }
  | { by: 'digest'; digest: string }
  | { by: 'rollback'; release: number | null }
  | { by: 'promote'; from: string; digest?: string }
  | { by: 'current' }
  | { by: 'nothing' }
/** An event of a kind that a newer controller added; `json` is all of it. */
type Unread = { type: null; json: object }

/** Every function rejects with ProblemError (the controller refused) or CliError (it could not be asked). */
export function createClient(settings: Settings) {
  const ask = <S extends z.ZodType>(request: Omit<Request, 'accept' | 'sent'>, choose: Choose<S>) =>
    askFor(settings, request, choose)
  const get = <S extends z.ZodType>(path: string, choose: Choose<S>, signal?: AbortSignal) =>
    ask({ method: 'GET', path, ...(signal === undefined ? {} : { signal }) }, choose)
  const post = <S extends z.ZodType>(path: string, body: unknown, choose: Choose<S>, signal?: AbortSignal) =>
    ask({ method: 'POST', path, body, ...(signal === undefined ? {} : { signal }) }, choose)
  const remove = async (path: string): Promise<void> => {
    await ask({ method: 'DELETE', path }, anything)
  }

  return {
    url: settings.url,
    origin: settings.url.origin,
    /** For `push` alone, which loads it. */
    registry: async () => (await import('./push/registry-client.ts')).createRegistryClient(settings),
    info: () => get('/v1/info', ({ serverInfo }) => serverInfo),

    environments: () => get('/v1/environments', ({ environmentView }) => environmentView.array()),
    freeze: (environment: string, body: { service: string | null; reason: string }) =>
      ask(
        { method: 'PUT', path: at`/v1/environments/${environment}/freeze`, body },
        ({ freezeAnswer }) => freezeAnswer
      ),
    unfreeze: (environment: string, query: Query) =>
      remove(at`/v1/environments/${environment}/freeze` + queryOf(query)),
    createEnvironment: (name: string) =>
      post('/v1/environments', { name }, ({ environmentView }) => environmentView),
    setEnvironment: (name: string, body: EnvironmentChange) =>
      ask(
        { method: 'PATCH', path: at`/v1/environments/${name}`, body },
        ({ environmentView }) => environmentView
      ),
    removeEnvironment: (name: string) => remove(at`/v1/environments/${name}`),

    joinTokens: () => get('/v1/join-tokens', ({ joinTokenView }) => joinTokenView.array()),
    createJoinToken: (body: JoinTokenRequest) =>
      post('/v1/join-tokens', body, ({ createdToken }) => createdToken),
    revokeJoinToken: (id: string) => remove(at`/v1/join-tokens/${id}`),
    apiTokens: () => get('/v1/api-tokens', ({ apiTokenView }) => apiTokenView.array()),
    createApiToken: (body: ApiTokenRequest) =>
      post('/v1/api-tokens', body, ({ createdToken }) => createdToken),
    revokeApiToken: (id: string) => remove(at`/v1/api-tokens/${id}`),

    issuers: () => get('/v1/issuers', ({ issuerView }) => issuerView.array()),
    setIssuer: (name: string, body: IssuerRequest) =>
      ask({ method: 'PUT', path: at`/v1/issuers/${name}`, body }, ({ issuerView }) => issuerView),
    removeIssuer: (name: string) => remove(at`/v1/issuers/${name}`),

    webhooks: () => get('/v1/webhooks', ({ webhookView }) => webhookView.array()),
    createWebhook: (body: WebhookRequest) =>
      post('/v1/webhooks', body, ({ createdWebhook }) => createdWebhook),
    testWebhook: (webhook: string) =>
      post(at`/v1/webhooks/${webhook}/test`, {}, ({ testedWebhook }) => testedWebhook),
    removeWebhook: (webhook: string) => remove(at`/v1/webhooks/${webhook}`),

    registries: () => get('/v1/registries', ({ registryView }) => registryView.array()),
    loginRegistry: (body: RegistryRequest) =>
      post('/v1/registries', body, ({ registryView }) => registryView),
    logoutRegistry: (host: string) => remove(at`/v1/registries/${host}`),

    agents: (query: { environment?: string | undefined }, signal?: AbortSignal): Promise<AgentView[]> =>
      get(`/v1/agents${queryOf(query)}`, ({ agentView }) => agentView.array(), signal),
    changeAgent: async (verb: 'approve' | 'revoke', agent: string, query: Query): Promise<void> => {
      await post(at`/v1/agents/${agent}/${verb}` + queryOf(query), {}, anything)
    },
    removeAgent: (agent: string, query: Query) => remove(at`/v1/agents/${agent}` + queryOf(query)),

    applySpec: (
      environment: string,
      service: string,
      body: { spec: unknown; dryRun: boolean }
    ): Promise<ApplyAnswer> =>
      ask(
        { method: 'PUT', path: at`/v1/environments/${environment}/services/${service}/spec`, body },
        ({ applyAnswer }) => applyAnswer
      ),

    spec: (environment: string, service: string): Promise<SpecView> =>
      get(at`/v1/environments/${environment}/services/${service}/spec`, ({ specView }) => specView),

    deploy: (body: DeployAsked, signal: AbortSignal): Promise<DeploymentView> =>
      post('/v1/deployments', body, ({ deploymentView }) => deploymentView, signal),
    deployments: (query: Query, signal?: AbortSignal) =>
      get(`/v1/deployments${queryOf(query)}`, ({ deploymentView }) => deploymentView.array(), signal),
    deployment: (id: string, signal?: AbortSignal) =>
      get(at`/v1/deployments/${id}`, ({ deploymentView }) => deploymentView, signal),
    resume: async (id: string, signal?: AbortSignal): Promise<void> => {
      await post(at`/v1/deployments/${id}/resume`, {}, anything, signal)
    },
    cancel: async (id: string, signal?: AbortSignal): Promise<void> => {
      await post(at`/v1/deployments/${id}/cancel`, {}, anything, signal)
    },
    deploymentEvents: (id: string, signal: AbortSignal): AsyncGenerator<DeploymentEvent | Unread> =>
      readEvents(settings, at`/v1/deployments/${id}/events`, signal, readEvent),
    logs: (query: Query, signal: AbortSignal): AsyncGenerator<LogEvent> =>
      readEvents(settings, `/v1/logs${queryOf(query)}`, signal, readLogEvent),

    releases: (query: Query) =>
      get(`/v1/releases${queryOf(query)}`, ({ releaseView }) => releaseView.array()),
    audit: (query: Query) => get(`/v1/audit${queryOf(query)}`, ({ auditView }) => auditView.array()),
    images: (query: Query) => get(`/v1/images${queryOf(query)}`, ({ hostImages }) => hostImages.array()),
    status: (query: Query, signal?: AbortSignal) =>
      get(`/v1/status${queryOf(query)}`, ({ statusView }) => statusView.array(), signal),
    /** Of everything that the token may read; each connection begins with how things are. */
    events: (signal: AbortSignal): AsyncGenerator<DeploymentEvent | Unread> =>
      readEvents(settings, '/v1/events', signal, readEvent)
  }
}

type Schemas = typeof import('../api/schemas.ts')
type Choose<S extends z.ZodType> = (schemas: Schemas) => S
const loadSchemas = (): Promise<Schemas> => import('../api/schemas.ts')
const anything: Choose<z.ZodUnknown> = ({ unread }) => unread

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
  request: Omit<Request, 'accept' | 'sent'>,
  choose: Choose<S>
): Promise<z.infer<S>> {
  const sent = (): void => void loadSchemas()
  const answer = await sendRequest(settings, { ...request, accept: 'application/json', sent })
  const body = await readBody(answer, settings)
  const status = answer.statusCode ?? 0
  if (status < 200 || status > 299) throw await readProblem(status, body, settings)
  const read = choose(await loadSchemas()).safeParse(body === '' ? undefined : parseJson(body))
  if (read.success) return read.data
  throw await notUnderstood(`the answer to ${request.method} ${request.path}`, read.error)
}

async function readProblem(status: number, body: string, settings: Settings): Promise<Error> {
  const { problem } = await loadSchemas()
  const read = problem.safeParse(parseJson(body))
  if (read.success) return new ProblemError(read.data)
  return new CliError(
    'unexpected-answer',
    `${settings.url.origin} answered with HTTP status ${String(status)}`,
    ['this is no answer of a Longshore controller; is LONGSHORE_URL right?']
  )
}

async function notUnderstood(what: string, error: z.ZodError): Promise<CliError> {
  const { prettifyError } = await import('zod')
  return new CliError('unexpected-answer', `${what} is not understood`, [
    prettifyError(error),
    'CLI and controller may be of different versions: see `longshore version --controller`'
  ])
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}

async function* readEvents<E>(
  settings: Settings,
  path: string,
  signal: AbortSignal,
  read: (data: string) => Promise<E>
): AsyncGenerator<E> {
  const sent = (): void => void loadSchemas()
  const answer = await sendRequest(settings, {
    method: 'GET',
    path,
    accept: 'text/event-stream',
    signal,
    sent
  })
  const status = answer.statusCode ?? 0
  if (status !== 200) throw await readProblem(status, await text(answer), settings)
  answer.setEncoding('utf8')
  let state = emptyStream
  try {
    for await (const chunk of answer as AsyncIterable<string>) {
      const { state: next, events } = readChunk(state, chunk)
      state = next
      for (const data of events) yield await read(data)
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause
    throw describeFailure(cause, settings, true)
  }
}

async function readEvent(data: string): Promise<DeploymentEvent | Unread> {
  const { deploymentEvent, deploymentEventTypes, eventHead } = await loadSchemas()
  const json = parseJson(data)
  const read = deploymentEvent.safeParse(json)
  if (read.success) return read.data
  const head = eventHead.loose().safeParse(json)
  if (head.success && !deploymentEventTypes.includes(head.data.type)) {
    return { type: null, json: head.data }
  }
  throw await notUnderstood('an event of the deployment', read.error)
}

async function readLogEvent(data: string): Promise<LogEvent> {
  const { logEvent } = await loadSchemas()
  const read = logEvent.safeParse(parseJson(data))
  if (read.success) return read.data
  throw await notUnderstood('an event of the log', read.error)
}
