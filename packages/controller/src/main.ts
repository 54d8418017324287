// The controller put together: `initController` makes a data directory, `startController` runs one. The only file
// that knows all parts; each part gets what it needs and nothing else.
import { Server as TlsServer } from 'node:https'
import { signJws } from '@longshore/protocol'
import { systemClock, systemRandom } from './adapters/clock/system-clock.ts'
import { createApp } from './adapters/http/create-app.ts'
import { reloadCertificate } from './adapters/http/reload-certificate.ts'
import {
  createDataDirectory,
  DataError,
  databasePath,
  readSigningKey
} from './adapters/keys/data-directory.ts'
import { createLog } from './adapters/log/create-log.ts'
import { openStore } from './adapters/sql/open-store.ts'
import { createGateway } from './adapters/ws/gateway.ts'
import { createUpgradeHandler } from './adapters/ws/upgrade.ts'
import { createAdmission } from './engine/admit-agent.ts'
import { createFailures } from './engine/count-failures.ts'
import { createDeployments, defaultDeploymentSettings } from './engine/deployments.ts'
import { enrol } from './engine/enrolment.ts'
import { createEventStream } from './engine/event-stream.ts'
import { createFleet } from './engine/fleet.ts'
import { foundInstallation, readInstallation } from './engine/installation.ts'
import { createPresences } from './engine/presence.ts'
import { createSpecs } from './engine/specs.ts'
import { createTokens, makeApiToken } from './engine/tokens.ts'
import { createWriter } from './engine/writer.ts'
import type { Actor, Store } from './ports.ts'
import { type InitOptions, initSettings, readSettings, type StartOptions, startSettings } from './settings.ts'

export const controllerVersion = '0.1.0'

const clock = systemClock
const random = systemRandom
const operator: Actor = { kind: 'operator', id: 'controller-init', name: 'controller init', address: 'local' }

/**
 * Makes a data directory with key, database and the first API token, which may do everything.
 * @returns the token, which is stored nowhere
 * @throws DataError `data-exists` when there is one already: nothing is changed then
 */
export const initController = async (
  options: InitOptions
): Promise<{ token: string; installation: string }> => {
  const { dataDir } = readSettings(initSettings, options)
  const key = await createDataDirectory(dataDir)
  const store = await openStore({ path: databasePath(dataDir), nowMs: clock.nowMs() })
  try {
    const installation = await foundInstallation({ store, clock, random }, key)
    const ports = { store, clock, random, installation, writer: createWriter({ store, clock }) }
    const { token } = await makeApiToken(ports, operator, { name: 'admin', allow: ['*:*/*'], ttlMs: null })
    return { token, installation: installation.id }
  } finally {
    await store.close()
  }
}

export type RunningController = {
  /** `http://HOST:PORT`, with the port that is really listened on. */
  url: string
  /** Says goodbye to agents and streams, finishes what is being written, closes the store. */
  stop(): Promise<void>
}

/** @throws SettingsError, DataError, StoreError or InstallationError, each with a `code`; else as `listen` does */
export const startController = async (options: StartOptions): Promise<RunningController> => {
  const settings = readSettings(startSettings, options)
  const log = createLog(settings.logLevel)
  const key = await readSigningKey(settings.dataDir)
  const store = await openStore({ path: databasePath(settings.dataDir), nowMs: clock.nowMs() })
  try {
    const installation = await readInstallation(store, key)
    return await run({ settings, log, store, installation })
  } catch (error) {
    await store.close()
    throw error
  }
}

type Started = {
  settings: ReturnType<typeof startSettings.parse>
  log: ReturnType<typeof createLog>
  store: Store
  installation: Awaited<ReturnType<typeof readInstallation>>
}

const run = async ({ settings, log, store, installation }: Started): Promise<RunningController> => {
  let isStopping = false
  const writer = createWriter({ store, clock })
  const events = createEventStream()
  const failures = createFailures({ clock })
  const presences = createPresences({ store, clock, publisher: events })
  const gateway = createGateway({ installation, clock, random, log })
  const fleet = createFleet({ store, writer, clock, link: gateway, presences })
  const deployments = createDeployments({
    store,
    writer,
    clock,
    random,
    link: gateway,
    signer: { sign: (command) => signJws('command', command, installation.key) },
    publisher: events,
    settings: { ...defaultDeploymentSettings, lostAfterMs: settings.lostAfterMs },
    log
  })
  gateway.serve({ fleet, deployments, presences })
  const enrolment = { store, writer, clock, random, installation, link: gateway, presences }
  const app = await createApp(
    {
      tokens: createTokens({ store, writer, clock, random, installation }),
      fleet,
      specs: createSpecs({ store, writer, clock }),
      deployments,
      failures,
      events,
      installation,
      enrol: (request, address) => enrol(enrolment, request, address),
      isStopping: () => isStopping,
      clock,
      log,
      version: controllerVersion
    },
    { trustedProxies: settings.trustedProxies, ...(settings.tls && { tls: settings.tls }) }
  )
  const upgrade = createUpgradeHandler({
    admit: createAdmission({ store, clock, installation }),
    failures,
    log,
    trustedProxies: settings.trustedProxies,
    isStopping: () => isStopping,
    opened: gateway.opened
  })
  app.server.on('upgrade', (request, socket, head) => void upgrade(request, socket, head))
  await deployments.start()
  await app.listen(settings.listen)
  const url = urlOf(app.server.address(), settings.listen.host, settings.tls !== undefined)
  const unwatch =
    settings.tls !== undefined && app.server instanceof TlsServer
      ? reloadCertificate(app.server, settings.tls, log)
      : () => {}
  log.info({ version: controllerVersion }, `listening on ${url}`)
  return {
    url,
    stop: async () => {
      if (isStopping) return
      isStopping = true
      log.info({}, 'stopping')
      unwatch()
      await gateway.stop()
      await app.close()
      await deployments.stop()
      await writer.idle()
      await store.close()
    }
  }
}

const urlOf = (address: unknown, host: string, isTls: boolean): string => {
  if (typeof address !== 'object' || address === null || !('port' in address)) {
    throw new DataError('data-unusable', 'the server listens on no port')
  }
  return `${isTls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${String(address.port)}`
}
