// The HTTP server: fastify with the API's schemas, access rules, problem bodies and the OpenAPI document made from
// the same schemas. What each route does is in routes/; who listens where is main.ts's.
import { readFileSync } from 'node:fs'
import swagger from '@fastify/swagger'
import { limits } from '@longshore/protocol'
import { type FastifyInstance, fastify } from 'fastify'
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider
} from 'fastify-type-provider-zod'
import type { BrowserSessions } from '../../engine/browser-sessions.ts'
import type { Callers } from '../../engine/callers.ts'
import type { Failures } from '../../engine/count-failures.ts'
import type { Deployments } from '../../engine/deployments.ts'
import type { EventStream } from '../../engine/event-stream.ts'
import type { LogFinder } from '../../engine/find-logs.ts'
import type { Fleet } from '../../engine/fleet.ts'
import type { Freezes } from '../../engine/freezes.ts'
import type { ImageCallers } from '../../engine/image-callers.ts'
import type { Images } from '../../engine/images.ts'
import type { Installation } from '../../engine/installation.ts'
import type { Issuers } from '../../engine/issuers.ts'
import type { Meters } from '../../engine/meters.ts'
import type { LogReaders } from '../../engine/read-logs.ts'
import type { Registries } from '../../engine/registries.ts'
import type { SignIns } from '../../engine/sign-ins.ts'
import type { Specs } from '../../engine/specs.ts'
import type { Tokens } from '../../engine/tokens.ts'
import type { Webhooks } from '../../engine/webhooks.ts'
import type { Writer } from '../../engine/writer.ts'
import type { Clock, Log, PageFile, Reads } from '../../ports.ts'
import { guardRoutes } from './access.ts'
import { answerAddressError, answerErrors } from './answer-errors.ts'
import { auditRefusals } from './audit-refusals.ts'
import { createEventResponses, type EventResponses } from './event-response.ts'
import { addImageRoutes } from './images/add-image-routes.ts'
import { addAgentRoutes } from './routes/agents.ts'
import { addAuditRoutes } from './routes/audit.ts'
import { addDeploymentRoutes } from './routes/deployments.ts'
import { addEnvironmentRoutes } from './routes/environments.ts'
import { addEventRoutes } from './routes/events.ts'
import { addFreezeRoutes } from './routes/freezes.ts'
import { addIssuerRoutes } from './routes/issuers.ts'
import { addLogRoutes } from './routes/logs.ts'
import { addMetricsRoutes } from './routes/metrics.ts'
import { addOpenRoutes } from './routes/open.ts'
import { addPageRoutes } from './routes/page.ts'
import { addRegistryRoutes } from './routes/registries.ts'
import { addSessionRoutes } from './routes/session.ts'
import { addSignInRoutes } from './routes/sign-in.ts'
import { addSpecRoutes } from './routes/specs.ts'
import { addTokenRoutes } from './routes/tokens.ts'
import { addWebhookRoutes } from './routes/webhooks.ts'

export type Services = {
  tokens: Tokens
  issuers: Issuers
  callers: Callers
  fleet: Fleet
  specs: Specs
  freezes: Freezes
  deployments: Deployments
  webhooks: Webhooks
  registries: Registries
  images: Images
  imageCallers: ImageCallers
  sessions: BrowserSessions
  signIns: SignIns
  failures: Failures
  /** Files of the page by the path below `/page/`; empty: there is none beside this controller. */
  page: ReadonlyMap<string, PageFile>
  writer: Pick<Writer, 'refused'>
  audit: Reads['audit']
  events: EventStream
  logFinder: LogFinder
  logs: LogReaders
  installation: Installation
  enrol(request: string, address: string): Promise<string>
  isStopping(): boolean
  meters: Pick<Meters, 'streamOpened'>
  clock: Clock
  log: Log
  version: string
}
export type HttpOptions = { trustedProxies: readonly string[]; tls?: { cert: string; key: string } }
export type RouteScope = { app: App; services: Services; responses: EventResponses }
export type App = ReturnType<typeof newApp>

/** @param options.tls paths of PEM files */
export const createApp = async (services: Services, options: HttpOptions): Promise<App> => {
  const app = newApp(options)
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  answerErrors(app as unknown as FastifyInstance, services.log)
  guardRoutes(app as unknown as FastifyInstance, services)
  auditRefusals(app as unknown as FastifyInstance, services.writer)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Longshore', version: services.version },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }]
    },
    transform: jsonSchemaTransform
  })
  const responses = createEventResponses(services.meters)
  const scope: RouteScope = { app, services, responses }
  for (const add of [
    addOpenRoutes,
    addPageRoutes,
    addSessionRoutes,
    addSignInRoutes,
    addEnvironmentRoutes,
    addTokenRoutes,
    addIssuerRoutes,
    addAgentRoutes,
    addSpecRoutes,
    addFreezeRoutes,
    addDeploymentRoutes,
    addEventRoutes,
    addLogRoutes,
    addMetricsRoutes,
    addWebhookRoutes,
    addRegistryRoutes,
    addAuditRoutes
  ]) {
    add(scope)
  }
  await addImageRoutes(app as unknown as FastifyInstance, services)
  app.addHook('preClose', async () => responses.endAll())
  return app
}

const newApp = ({ trustedProxies, tls }: HttpOptions) => {
  const common = {
    bodyLimit: limits.maxBodyBytes,
    // the longest name that an address has a part for; a token is longer, and none gets into the audit by an address
    routerOptions: { maxParamLength: limits.maxRegistryNameChars },
    frameworkErrors: answerAddressError,
    trustProxy: trustedProxies.length > 0 ? [...trustedProxies] : false,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    return503OnClosing: false,
    logger: false as const
  }
  const app =
    tls === undefined
      ? fastify(common)
      : (fastify({ ...common, https: readPems(tls) }) as unknown as FastifyInstance)
  return app.withTypeProvider<ZodTypeProvider>()
}

export const readPems = (tls: { cert: string; key: string }): { cert: Buffer; key: Buffer } => ({
  cert: readFileSync(tls.cert),
  key: readFileSync(tls.key)
})
