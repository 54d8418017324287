// The controller put together: `initController` makes a data directory, `startController` runs one. The only file
// that knows all parts; each part gets what it needs and nothing else.
import { setMaxListeners } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Server as TlsServer } from 'node:https'
import { signJws } from '@longshore/protocol'
import { createBlobs } from './adapters/blobs/blob-files.ts'
import { imageFolderOf } from './adapters/blobs/image-folder.ts'
import { createUploads } from './adapters/blobs/upload-files.ts'
import { steadyClock, systemClock, systemRandom } from './adapters/clock/system-clock.ts'
import { createCredentialHelper } from './adapters/helpers/ask-helper.ts'
import { createApp } from './adapters/http/create-app.ts'
import { reloadCertificate } from './adapters/http/reload-certificate.ts'
import { createIssuerKeys } from './adapters/issuers/fetch-keys.ts'
import { createSignInFlow } from './adapters/issuers/sign-in-flow.ts'
import {
  DataError,
  databasePath,
  prepareDataDirectory,
  readSigningKey,
  removeKeyDrafts
} from './adapters/keys/data-directory.ts'
import { createSealer } from './adapters/keys/sealing-key.ts'
import { serveLocal } from './adapters/local/local-socket.ts'
import { createLog } from './adapters/log/create-log.ts'
import { pageFolders, readPage } from './adapters/page/read-page.ts'
import { watchEventLoop } from './adapters/process/watch-event-loop.ts'
import { makeCopy, removeCopies } from './adapters/sql/database-copies.ts'
import { openStore, type SqliteStore } from './adapters/sql/open-store.ts'
import { StoreError } from './adapters/sql/store-errors.ts'
import { openSupervisor } from './adapters/supervisor/open-supervisor.ts'
import { createExchange } from './adapters/upstream/exchange.ts'
import { createUpstream } from './adapters/upstream/fetch-images.ts'
import { createRegistryBlobs } from './adapters/upstream/registry-blobs.ts'
import { createWebhookSender } from './adapters/webhooks/send.ts'
import { createGateway, type Gateway } from './adapters/ws/gateway.ts'
import { createUpgradeHandler } from './adapters/ws/upgrade.ts'
import { controllerVersion } from './core/fleet/judge-skew.ts'
import { createAdmission } from './engine/admit-agent.ts'
import { createHelpers, type Helpers } from './engine/ask-helpers.ts'
import { createBrowserSessions } from './engine/browser-sessions.ts'
import { createImageCache } from './engine/cache-images.ts'
import { createCallers } from './engine/callers.ts'
import { createImageCollector } from './engine/collect-images.ts'
import { createFailures } from './engine/count-failures.ts'
import { createDeployments, defaultDeploymentSettings } from './engine/deployments.ts'
import { enrol } from './engine/enrolment.ts'
import { createEventStream, type EventStream } from './engine/event-stream.ts'
import { createLogFinder } from './engine/find-logs.ts'
import { createFleet } from './engine/fleet.ts'
import { withFormerBlobs } from './engine/former-blobs.ts'
import { createFreezes } from './engine/freezes.ts'
import { createHolds, type Holds } from './engine/hold-content.ts'
import { createIdTokens } from './engine/id-tokens.ts'
import { createImageCallers } from './engine/image-callers.ts'
import { createImages } from './engine/images.ts'
import { foundInstallation, type Installation, readInstallation } from './engine/installation.ts'
import { createIssuers } from './engine/issuers.ts'
import { createLease, type Lease } from './engine/lease.ts'
import { measureCommits } from './engine/measure-commits.ts'
import { createMeters, type Meters } from './engine/meters.ts'
import { createNotifications } from './engine/notifications.ts'
import { offerArtifacts } from './engine/offer-artifacts.ts'
import { type WatchedStore, watchOwed } from './engine/owe-notices.ts'
import { createPeople } from './engine/people.ts'
import { createPresences } from './engine/presence.ts'
import { createConfigReader } from './engine/read-configs.ts'
import { createLogReaders } from './engine/read-logs.ts'
import { createRegistries } from './engine/registries.ts'
import { createRegistryCredentials, type RegistryCredentials } from './engine/registry-credentials.ts'
import { createSignIns } from './engine/sign-ins.ts'
import { createSpecs } from './engine/specs.ts'
import { createSupervisorLink, type SupervisorLink } from './engine/tell-supervisor.ts'
import { createTokens, makeApiToken } from './engine/tokens.ts'
import { createHostWatch } from './engine/watch-hosts.ts'
import { createWebhooks } from './engine/webhooks.ts'
import { createWriter, type Writer } from './engine/writer.ts'
import type { Blobs, Uploads } from './image-ports.ts'
import type { Actor, Clock, Random, Sealer, Store } from './ports.ts'
import {
  type InitOptions,
  initSettings,
  readSettings,
  SettingsError,
  type StartOptions,
  startSettings
} from './settings.ts'

export { controllerVersion }

/** Time and randomness; tests bring their own. */
export type Parts = { clock: Clock; steadyClock: Clock; random: Random }
const systemParts: Parts = { clock: systemClock, steadyClock, random: systemRandom }

const operator: Actor = { kind: 'operator', id: 'controller-init', name: 'controller init', address: 'local' }

/**
 * Makes a data directory with key, database and the first API token, which may do everything. An attempt that was
 * killed is taken up where it ended: the directory is complete once it has an API token.
 * @returns the token, which is stored nowhere
 * @throws DataError `data-exists` when there is a complete one already: nothing is changed then
 */
export const initController = async (
  options: InitOptions
): Promise<{ token: string; installation: string }> => {
  const { dataDir } = readSettings(initSettings, options)
  const { clock, random } = systemParts
  const key = await prepareDataDirectory(dataDir)
  const store = await openNew(dataDir, clock.nowMs())
  try {
    await removeKeyDrafts(dataDir)
    const installation = await foundInstallation({ store, clock, random }, key)
    await refuseComplete(store, dataDir)
    const ports = { store, clock, random, installation, writer: createWriter({ store, clock }) }
    const { token } = await makeApiToken(ports, operator, { name: 'admin', allow: ['*:*/*'], ttlMs: null })
    return { token, installation: installation.id }
  } finally {
    await store.close()
  }
}

const openNew = async (dataDir: string, nowMs: number): Promise<Store> => {
  try {
    return await openStore({ path: databasePath(dataDir), nowMs })
  } catch (cause) {
    if (!(cause instanceof StoreError) || cause.code !== 'database-in-use') throw cause
    throw new DataError('data-exists', `a controller runs on ${dataDir}`, { cause })
  }
}

/** The first token is shown once; whoever missed it may start over only as long as nothing would be lost. */
const refuseComplete = async (store: Store, dataDir: string): Promise<void> => {
  const tokens = await store.apiTokens()
  if (tokens.length === 0) return
  const isUnused = tokens.every(({ lastUsedAtMs }) => lastUsedAtMs === null)
  const advice = isUnused
    ? `no API token of it was ever used: if the first one got lost, delete ${dataDir} and run \`longshore controller init\` again`
    : 'run `longshore controller start`'
  throw new DataError('data-exists', `${dataDir} is complete; ${advice}`)
}

export type RunningController = {
  /** `http://HOST:PORT`, with the port that is really listened on. */
  url: string
  /** Resolves when another controller has taken over: this one refuses all and writes nothing; stop it. */
  lost: Promise<void>
  /** Says goodbye to agents and streams, finishes what is being written, closes the store. */
  stop(): Promise<void>
}

/** @throws SettingsError, DataError, StoreError or InstallationError, each with a `code`; else as `listen` does */
export const startController = async (
  options: StartOptions,
  parts: Parts = systemParts
): Promise<RunningController> => {
  const settings = readSettings(startSettings, options)
  const log = createLog(settings.logLevel)
  const supervisor = createSupervisorLink(openSupervisor(process.env), { ...parts, log })
  const key = await readSigningKey(settings.dataDir)
  const opened = await openStore({
    path: databasePath(settings.dataDir),
    nowMs: parts.clock.nowMs(),
    migrating: supervisor.migrating
  })
  const fetching = new AbortController()
  // one listener for each request on its way
  setMaxListeners(0, fetching.signal)
  const meters = createMeters()
  const { store, onOwed } = watchOwed(measureCommits(opened, { ...parts, meters }))
  try {
    const installation = await readInstallation(store, key)
    const lease = createLease({ ...parts, store, log })
    const ca = settings.caFile === undefined ? null : await readCa(settings.caFile)
    // one for all: two that make its key at the same time would be in each other's way
    const sealer = createSealer(settings.dataDir)
    const helpers = createHelpers(createCredentialHelper(process.env), parts.steadyClock)
    const credentials = createRegistryCredentials({ store, sealer, helpers, log })
    const ground = {
      ...parts,
      settings,
      ca,
      log,
      meters,
      supervisor,
      store,
      copyTo: opened.copyTo,
      onOwed,
      installation,
      lease,
      sealer,
      helpers,
      credentials,
      fetching
    }
    return await run({
      ...ground,
      writer: createWriter({ ...parts, store, lease }),
      holds: createHolds(parts.clock),
      ...createContent(ground)
    })
  } catch (error) {
    fetching.abort()
    await store.close()
    throw error
  }
}

/** Where images lie: files, or a registry, to which uploads go on once all of them is here. */
const createContent = (
  ground: Omit<Ground, 'writer' | 'holds' | 'blobs' | 'uploads'>
): Pick<Ground, 'blobs' | 'uploads'> => {
  const { settings, ca, clock, steadyClock: steady, installation, credentials, fetching, log } = ground
  const { imageStore: address } = settings
  const folder = imageFolderOf(settings)
  const files = createBlobs(folder, clock)
  if (address === undefined) return { blobs: files, uploads: createUploads(folder, files) }
  const registry = createRegistryBlobs({
    address,
    exchange: createExchange({ ca, signal: fetching.signal }),
    login: () => credentials.forRegistry(address.registry),
    installation: installation.id,
    clock: steady,
    log
  })
  // at the start, not with the first push; who is away now may be there later
  registry.demandReady().catch((error: unknown) => {
    if (fetching.signal.aborted) return
    log.warn({ err: error }, 'the registry behind the image store cannot be used now')
  })
  return { blobs: withFormerBlobs(registry, files), uploads: createUploads(folder, registry) }
}

const readCa = async (path: string): Promise<string> => {
  const pem = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new SettingsError(`caFile: ${path} cannot be read: ${cause.code ?? cause.message}`, { cause })
  })
  if (pem.includes('-----BEGIN CERTIFICATE-----')) return pem
  throw new SettingsError(`caFile: ${path} holds no PEM certificate`)
}

type Ground = Parts &
  WatchedStore & {
    settings: ReturnType<typeof startSettings.parse>
    /** PEM; null: the system's certificate authorities. */
    ca: string | null
    log: ReturnType<typeof createLog>
    meters: Meters
    supervisor: SupervisorLink
    copyTo: SqliteStore['copyTo']
    lease: Lease
    /** Asks the lease first. */
    writer: Writer
    installation: Installation
    sealer: Sealer
    helpers: Helpers
    credentials: RegistryCredentials
    /** Ends what is on its way from and to registries. */
    fetching: AbortController
    holds: Holds
    blobs: Blobs
    uploads: Uploads
  }

const run = async (ground: Ground): Promise<RunningController> => {
  const { settings, log, store, writer, lease, supervisor } = ground
  let isStopping = false
  const engine = createEngine(ground)
  const { gateway, deployments, notifications, hostWatch, collector } = engine
  const app = await createServer(ground, engine, () => isStopping || lease.isLost())
  await deployments.start()
  await hostWatch.start()
  collector.start()
  notifications.wake()
  await app.listen(settings.listen)
  const url = urlOf(app.server.address(), settings.listen.host, settings.tls !== undefined)
  const unwatch =
    settings.tls !== undefined && app.server instanceof TlsServer
      ? reloadCertificate(app.server, settings.tls, ground)
      : () => {}
  const local = await serveLocally(ground, url, () => isStopping)
  const unwatchLoop = watchEventLoop(ground.meters.loopLagged)
  log.info({ version: controllerVersion }, `listening on ${url}`)
  supervisor.ready(url, writer)
  return {
    url,
    lost: lease.lost,
    stop: async () => {
      if (isStopping) return
      isStopping = true
      log.info({}, 'stopping')
      supervisor.stopping(lease.isLost() ? 'another controller has taken over' : 'stopping')
      unwatch()
      await local.stop()
      unwatchLoop()
      // before the sessions end: no host is lost by this
      await hostWatch.stop()
      await gateway.stop()
      await collector.stop()
      await app.close()
      await deployments.stop()
      // now that nobody takes it for an answer of the registry
      ground.fetching.abort()
      await notifications.stop()
      await writer.idle()
      await store.close()
    }
  }
}

/** For `controller health` and `controller backup` on this machine. */
const serveLocally = async (ground: Ground, url: string, isStopping: () => boolean) => {
  const { settings, log, lease, copyTo } = ground
  const { dataDir, keepFreeBytes } = settings
  await removeCopies(dataDir)
  return serveLocal(
    dataDir,
    {
      health: async () => {
        if (isStopping()) throw new Error('the controller is stopping')
        // asks the database
        if (!(await lease.isHeld())) throw new Error('another controller has taken over')
        return `ready on ${url}`
      },
      copy: (signal) => makeCopy(dataDir, keepFreeBytes, (path) => copyTo(path, signal))
    },
    log
  )
}

/** Everything that decides and waits, with the agents' link, which it needs and which needs it. */
const createEngine = (ground: Ground) => {
  const { settings, store, clock, installation, credentials } = ground
  const { lostAfterMs, pauseLimitMs } = settings
  const events = createEventStream(ground.lease.owner)
  const presences = createPresences({ store, clock, publisher: events })
  const gateway = createGateway(ground)
  const images = createImages(ground)
  const upstream = createUpstream({ ca: ground.ca, signal: ground.fetching.signal })
  const deployments = createDeployments({
    ...ground,
    link: gateway,
    signer: { sign: (command) => signJws('command', command, installation.key) },
    artifacts: offerArtifacts({
      images,
      cache: createImageCache({ images, upstream }),
      logins: credentials,
      configsOf: createConfigReader({ ...ground, upstream, logins: credentials }),
      log: ground.log
    }),
    publisher: events,
    settings: { ...defaultDeploymentSettings, lostAfterMs, pauseLimitMs }
  })
  const fleet = createFleet({ ...ground, link: gateway, presences, deployments })
  const logFinder = createLogFinder({ ...ground, presences })
  const logs = createLogReaders({ ...ground, link: gateway, finder: logFinder })
  gateway.serve({ fleet, deployments, presences, logs })
  return {
    events,
    presences,
    gateway,
    fleet,
    logFinder,
    logs,
    deployments,
    ...createTelling(ground, { link: gateway, events }),
    registries: createRegistries(ground),
    images,
    collector: createImageCollector({ ...ground, graceMs: settings.imageGraceMs }),
    failures: createFailures({ clock })
  }
}

/** Whom to tell of what happens, and the telling. */
const createTelling = (ground: Ground, { link, events }: { link: Gateway; events: EventStream }) => {
  const { settings, ca, onOwed } = ground
  const { allowPlaintext } = settings
  const sender = createWebhookSender({ ca, userAgent: `longshore/${controllerVersion}` })
  const notifications = createNotifications({ ...ground, sender })
  onOwed(notifications.wake)
  return {
    notifications,
    webhooks: createWebhooks({ ...ground, notifications, allowPlaintext }),
    hostWatch: createHostWatch({ ...ground, link, events })
  }
}

/** The edge: the HTTP API, and on the same server the door to the agents' sessions. */
const createServer = async (
  ground: Ground,
  engine: ReturnType<typeof createEngine>,
  isStopping: () => boolean
) => {
  const { settings, log, meters, installation, clock } = ground
  const { gateway, presences, deployments, failures } = engine
  const { trustedProxies, tls } = settings
  const enrolment = { ...ground, link: gateway, presences, deployments }
  const tokens = createTokens(ground)
  const issuerKeys = createIssuerKeys({ ca: ground.ca })
  const idTokens = createIdTokens({ ...ground, issuerKeys })
  const people = createPeople(ground)
  const callers = createCallers({ tokens, idTokens, people, clock })
  const app = await createApp(
    {
      ...engine,
      tokens,
      issuers: createIssuers(ground),
      callers,
      sessions: createBrowserSessions({ ...ground, callers, people }),
      signIns: createSignIns({ ...ground, idTokens, flow: createSignInFlow(ground) }),
      page: await readPage(pageFolders(import.meta.dirname)),
      imageCallers: createImageCallers({ ...ground, callers }),
      specs: createSpecs(ground),
      freezes: createFreezes(ground),
      writer: ground.writer,
      audit: ground.store.audit,
      installation,
      enrol: (request, address) => enrol(enrolment, request, address),
      isStopping,
      meters,
      clock,
      log,
      version: controllerVersion
    },
    { trustedProxies, ...(tls && { tls }) }
  )
  const admit = createAdmission(ground)
  const door = { admit, failures, meters, log, trustedProxies, isStopping, opened: gateway.opened }
  const upgrade = createUpgradeHandler(door)
  app.server.on('upgrade', (request, socket, head) => void upgrade(request, socket, head))
  return app
}

const urlOf = (address: unknown, host: string, isTls: boolean): string => {
  if (typeof address !== 'object' || address === null || !('port' in address)) {
    throw new DataError('data-unusable', 'the server listens on no port')
  }
  return `${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`
}
