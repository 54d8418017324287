#!/usr/bin/env node
// longshore-agent: reads the settings, puts the adapters together, ends with an exit code that means something.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import type { SecureContext } from 'node:tls'
import {
  createTeller,
  hostName as hostNameSchema,
  openRegistryLogin,
  signPullToken,
  silentTeller,
  type Teller
} from '@longshore/protocol'
import packageJson from '../package.json' with { type: 'json' }
import { becomeProgram } from './adapters/become-program.ts'
import { createClock } from './adapters/clock.ts'
import { lockDataDir } from './adapters/data-lock.ts'
import { createDockerClient } from './adapters/docker/client.ts'
import { createContainerLogs } from './adapters/docker/container-logs.ts'
import { createCopyFile } from './adapters/docker/copy-file.ts'
import { createCredentials } from './adapters/docker/credentials.ts'
import { createEngine } from './adapters/docker/engine.ts'
import { createHostChecks } from './adapters/docker/host-checks.ts'
import { createProxyContainers } from './adapters/docker/proxy-containers.ts'
import { createContainerWatch, type OwnKnowledge } from './adapters/docker/watch.ts'
import { createArtifactDoor } from './adapters/door/artifact-door.ts'
import { containerLife } from './adapters/haproxy/container.ts'
import type { ProxyFiles } from './adapters/haproxy/files.ts'
import { type ProxyLife, processLife, unitLife } from './adapters/haproxy/life.ts'
import { createProxy } from './adapters/haproxy/proxy.ts'
import { askHealth, type Health, serveHealth } from './adapters/health-socket.ts'
import { type MeasuredFacts, measureFacts, measureUsage } from './adapters/host-facts.ts'
import { createControllerClient, createEngineClient, urlBelow } from './adapters/http-client.ts'
import { readJoinToken } from './adapters/join-token.ts'
import { checkJournal, openJournal } from './adapters/journal.ts'
import {
  forgetAgent,
  journalFileName,
  openKeys,
  prepareDataDir,
  readIdentity,
  writeIdentity
} from './adapters/key-files.ts'
import { createLog } from './adapters/log.ts'
import { findOwnContainer } from './adapters/own-container.ts'
import { createPolicySource } from './adapters/policy-file.ts'
import { createProgramFiles, hashOf } from './adapters/program-files.ts'
import { openSupervisor } from './adapters/supervisor.ts'
import { trustCas } from './adapters/trusted-cas.ts'
import { tryProgram } from './adapters/try-program.ts'
import { createDial } from './adapters/ws.ts'
import { candidateOption, proveCandidate } from './candidate.ts'
import { createControllerClock } from './controller-clock.ts'
import { apiMinorOf, expressRequest } from './core/express-request.ts'
import type { Ownership } from './core/observation.ts'
import { ownImages } from './core/own-images.ts'
import { enrol } from './enrol.ts'
import { AgentExit, exitCodes } from './exit-codes.ts'
import { createInventoryWatch } from './inventory.ts'
import { JournalError } from './journal-error.ts'
import { keepRoutes, type RouteKeeper } from './keep-routes.ts'
import { leave } from './leave.ts'
import type { LifeSigns } from './link.ts'
import { createLogs } from './logs.ts'
import type { Clock, Journal, OpenLogin, ProgramFiles, Runs } from './ports.ts'
import { openRegistration, openStoredKeys } from './registration.ts'
import { type AgentWorld, runAgent } from './run-agent.ts'
import { type BuildRequest, createRuns } from './runs.ts'
import { describeUsage, readInvocation, type Settings, SettingsError } from './settings.ts'
import { createSuccessor, findPlace, giveBack, type Self } from './successor.ts'
import { watchLoop } from './watch-loop.ts'

type AgentLog = ReturnType<typeof createLog>

const main = async (): Promise<void> => {
  // options may hold a join token: from here on they are in no process list
  process.title = 'longshore-agent'
  const host = { name: os.hostname(), homeDir: os.homedir() }
  const [first, ...others] = process.argv.slice(2)
  const isCandidate = first === candidateOption
  const args = isCandidate ? others : process.argv.slice(2)
  const invocation = readInvocation(args, process.env, host)
  if (invocation.kind === 'help') return void process.stdout.write(describeUsage())
  if (invocation.kind === 'version') return void process.stdout.write(`${packageJson.version}\n`)
  if (invocation.kind === 'health') return showHealth(await askHealth(invocation.dataDir))
  const { settings } = invocation
  if (isCandidate) return prove(settings)
  const log = createLog(settings.logLevel)
  const stopping = stopOnSignal(log)
  const place = createPlace(settings.dataDir, stopping)
  process.once('uncaughtException', (error) => endFor(error, log, place))
  process.once('unhandledRejection', (error) => endFor(error, log, place))
  try {
    if (invocation.kind === 'deregister') await withDataDir(settings, () => deregister(settings, log))
    else await live(settings, log, place)
    if (place.next !== null) becomeProgram(place.next)
    log.info({}, 'stopped')
    process.exit(exitCodes.stopped.code)
  } catch (error) {
    endFor(error, log, place)
  }
}

/** For HEALTHCHECK: 0 healthy, 1 not. */
const showHealth = ({ isHealthy, words }: Health): void => {
  process.stdout.write(`${words}\n`)
  process.exitCode = isHealthy ? 0 : 1
}

/** Which program this process is, and which it is to become. */
type Place = {
  files: ProgramFiles
  self: Self
  stopping: AbortController
  /** Path of the program to become; null: none. */
  next: string | null
}

const createPlace = (dataDir: string, stopping: AbortController): Place => {
  const [, path = ''] = process.argv
  const self = { path, sha256: hashOf(readFileSync(path)), version: packageJson.version }
  return { files: createProgramFiles(dataDir), self, stopping, next: null }
}

/** Tried beside the agent: says its version once the controller has answered, and ends. */
const prove = async (settings: Settings): Promise<void> => {
  const { dataDir, controllerUrl, hostName } = settings
  const log = createLog('fatal')
  const clock = createClock()
  const tls = trustFor(settings)
  const [keys, identity] = [await openKeys(dataDir), await readIdentity(dataDir)]
  if (identity === null) throw new AgentExit('not-enrolled', `${dataDir} holds no identity`)
  checkJournal(join(dataDir, journalFileName))
  const { facts } = await measureFacts(createEngineClient(settings.dockerHost))
  if (facts.engineVersion === null) throw new AgentExit('failed', 'the Docker Engine does not answer it')
  const { find: keyOf } = await openStoredKeys(identity, async () => undefined)
  const dial = createDial(urlBelow(controllerUrl, sessionPath), tls, clock)
  const nothing = {
    containers: [],
    diskFreeBytes: null,
    diskTotalBytes: null,
    load: null,
    memoryFreeBytes: null
  }
  await proveCandidate(
    { dial, clock, log, randomBytes },
    { signing: keys.signing, installation: identity.installation, keyOf },
    {
      type: 'hello',
      agentVersion: packageJson.version,
      hostName: hostNameSchema.parse(hostName),
      facts,
      policy: createPolicySource(settings.policyFile).summary(),
      inventory: { isEngineReachable: true, ...nothing },
      marks: [],
      runs: [],
      clockSkewMs: 0
    }
  )
  process.stdout.write(`${JSON.stringify({ version: packageJson.version })}\n`)
  process.exit(exitCodes.stopped.code)
}

/** As process 1 a signal without a handler is ignored by the kernel, so both are handled. */
const stopOnSignal = (log: AgentLog): AbortController => {
  const stopping = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      if (stopping.signal.aborted) process.exit(exitCodes.stopped.code)
      log.info({ signal: name }, 'stopping')
      stopping.abort()
    })
  }
  return stopping
}

const live = async (settings: Settings, log: AgentLog, place: Place): Promise<void> => {
  const { signal } = place.stopping
  try {
    await withDataDir(settings, async () => {
      place.next = findPlace(place.files, place.self)
      if (place.next !== null) return
      await serveHealth(settings.dataDir, () => `alive for ${Math.round(process.uptime())} s`, log)
      await connectParts(settings, log, place)
    })
  } catch (error) {
    // what a stop interrupted while it was waiting is no failure
    if (!signal.aborted || error !== signal.reason) throw error
  }
}

const withDataDir = async ({ dataDir }: Settings, work: () => Promise<void>): Promise<void> => {
  await prepareDataDir(dataDir)
  const unlock = lockDataDir(dataDir)
  try {
    await work()
  } finally {
    unlock()
  }
}

/** The agent's key signs the goodbye, so no token is needed. */
const deregister = async (settings: Settings, log: AgentLog): Promise<void> => {
  const { dataDir, controllerUrl } = settings
  const identity = await readIdentity(dataDir)
  if (identity === null) return log.info({}, 'this host is not registered')
  const { signing } = await openKeys(dataDir)
  const { find: keyOf } = await openStoredKeys(identity, async () => {})
  const ask = createControllerClient(controllerUrl, trustFor(settings))
  await leave({ ask, clock: createClock(), log, randomBytes }, { identity, signing, keyOf })
  await forgetAgent(dataDir)
}

/** null for http. */
const trustFor = ({ controllerUrl, caFile }: Settings): SecureContext | null =>
  controllerUrl.protocol === 'https:' ? trustCas(caFile) : null

const connectParts = async (settings: Settings, log: AgentLog, place: Place): Promise<void> => {
  const { signal } = place.stopping
  const { dataDir, controllerUrl, hostName } = settings
  const clock = createClock()
  const { signs, served } = createLifeSigns(clock, log, place)
  const tls = trustFor(settings)
  const ask = createControllerClient(controllerUrl, tls)
  const keys = await openKeys(dataDir)
  const facts = await watchFacts(settings)
  const network = { ask, clock, log, randomBytes, random: Math.random, signs }
  const registration = await openRegistration(
    {
      ask,
      log,
      enrol: async () => {
        const token = await readJoinToken(settings)
        const { labels } = settings
        const { signing, encryption } = keys
        const request = { token, hostName, labels, facts: facts.now().facts, signing, encryption }
        return enrol(network, request, signal)
      },
      save: (identity) => writeIdentity(dataDir, identity)
    },
    await readIdentity(dataDir)
  )
  const docker = createDockerClient(settings.dockerHost)
  const credentials = createCredentials({ ...process.env, DOCKER_CONFIG: settings.dockerConfigDir })
  const engine = createEngine(docker, credentials, findOwnContainer())
  const life = lifeOf(settings, createProxyContainers(docker, engine))
  const proxy = await createProxy({ folder: join(dataDir, proxyFolder), life, clock, log })
  const known: { journal?: Journal; runs?: Runs; keeper?: RouteKeeper } = {}
  const watch = createContainerWatch(docker, engine, clock, {
    installation: () => registration.identity().installation,
    recordOf: (owner) => recordOf(known, owner)
  })
  // it may have been away at the start, or come back with another version
  watch.onReturn(facts.refresh)
  const policy = createPolicySource(settings.policyFile)
  const measure = () => measureUsage([facts.now().dataRoot, dataDir].filter((dir) => dir !== null))
  const buildRequest: BuildRequest = (input) =>
    expressRequest(input, apiMinorOf(facts.now().facts.engineApiVersion))
  const controllerClock = createControllerClock(clock)
  const artifacts = createArtifactDoor({
    base: controllerUrl,
    tls,
    token: () => {
      const { agent, installation } = registration.identity()
      return signPullToken({ agent, installation, nowMs: controllerClock.nowMs() }, keys.signing)
    },
    randomBytes,
    log
  })
  const images = async () => {
    const { journal } = known
    if (journal === undefined) return []
    return ownImages(await engine.listImages(), journal.marks(), journal.images.digestOf)
  }
  const inventory = createInventoryWatch({ watch, proxy, measure, images, clock, log })
  const successor = createSuccessor({
    files: place.files,
    self: place.self,
    clock,
    log,
    copyFile: createCopyFile(docker),
    tryProgram,
    leaveTo: (path) => {
      place.next = path
      place.stopping.abort()
    }
  })
  const openRuns: AgentWorld['openRuns'] = async (reporter) => {
    const journal = openJournal(join(dataDir, journalFileName))
    const { minFreeBytes, ownSubnets } = settings
    const host = createHostChecks()
    const openLogin: OpenLogin = (jwe, wanted) => openRegistryLogin(jwe, keys.decryption, wanted)
    const runs = createRuns(
      {
        engine,
        proxy,
        events: watch,
        ownSubnets,
        artifacts,
        host,
        journal,
        clock,
        policy,
        openLogin,
        successor
      },
      { minFreeBytes, buildRequest },
      {
        progressed: reporter.progressed,
        reported: (report) => {
          reporter.reported(report)
          // what the run did is no longer taken for its own
          inventory.refreshImages()
          watch.touch()
          known.keeper?.look()
        }
      }
    )
    Object.assign(known, { journal, runs })
    return runs
  }
  const recovered = (): void => {
    const { runs } = known
    const installation = () => registration.identity().installation
    if (runs !== undefined)
      known.keeper = keepRoutes({ proxy, engine, events: watch, runs, installation, clock, log })
  }
  const world: AgentWorld = {
    ...network,
    controllerClock,
    dial: createDial(urlBelow(controllerUrl, sessionPath), tls, clock),
    signing: keys.signing,
    encryption: keys.encryption,
    version: packageJson.version,
    hostName,
    registration,
    facts: () => facts.now().facts,
    refreshFacts: facts.refresh,
    policy,
    inventory,
    logs: createLogs({
      engine,
      containerLogs: createContainerLogs(docker),
      watch,
      policy,
      installation: () => registration.identity().installation,
      isAtWork: () => (known.runs?.inFlight().length ?? 0) > 0,
      clock,
      log
    }),
    openRuns,
    served,
    recovered,
    heard: successor.heard
  }
  await runAgent(world, signal)
  known.keeper?.stop()
  await proxy.stop()
  watch.stop()
}

/** What a supervisor is told, if there is one: a sign of life needs a loop that turns and takes what is delivered. */
const createLifeSigns = (
  clock: Clock,
  log: AgentLog,
  place: Place
): { signs: LifeSigns; served: (idle: () => Promise<void>) => void } => {
  const supervisor = openSupervisor(process.env)
  const loop = watchLoop(clock)
  let idle = (): Promise<void> => Promise.resolve()
  const { after } = clock
  const prove = (): Promise<string | null> => idle().then(loop.complaint)
  const teller: Teller =
    supervisor === null ? silentTeller : createTeller({ ...supervisor, after, log, prove })
  // a process that becomes another program does not stop
  const stop = (): void => (place.next === null ? teller.stopping('stopping') : teller.status('upgrading'))
  place.stopping.signal.addEventListener('abort', stop, { once: true })
  return {
    signs: { turnsWithin: loop.turnsWithin, ready: teller.ready, status: teller.status },
    served: (given) => {
      idle = given
    }
  }
}

const sessionPath = '/v1/agents/session'
/** Below the data directory, also as the host sees it. */
const proxyFolder = 'haproxy'

/** Who runs HAProxy: the agent itself, systemd, or the engine. */
const lifeOf = (
  { proxyMode, proxyImage, hostDataDir }: Settings,
  engine: ReturnType<typeof createProxyContainers>
): ((files: ProxyFiles) => ProxyLife) => {
  switch (proxyMode) {
    case 'process':
      return processLife
    case 'unit':
      return unitLife
    case 'container':
      return containerLife({ engine, image: proxyImage, hostFolder: join(hostDataDir, proxyFolder) })
    default:
      return proxyMode satisfies never
  }
}

const recordOf = (
  { journal, runs }: { journal?: Journal; runs?: Runs },
  { environment, service, release }: Ownership
): ReturnType<OwnKnowledge['recordOf']> => {
  if (journal === undefined || runs === undefined || runs.isBusy(environment, service)) return 'busy'
  return journal.releases(environment, service).find((one) => one.release === release)
}

/** The host's facts as measured last. */
const watchFacts = async (settings: Settings): Promise<{ now(): MeasuredFacts; refresh(): void }> => {
  const askEngine = createEngineClient(settings.dockerHost)
  let measured = await measureFacts(askEngine)
  return {
    now: () => measured,
    refresh() {
      void measureFacts(askEngine).then((next) => {
        measured = next
      })
    }
  }
}

/** Says why and ends. Docker's open streams would keep the process for ever. A program on trial gives the place back. */
const endFor = (error: unknown, log: AgentLog | null, place: Place | null): never => {
  const exit = toExit(error)
  if (log === null) process.stderr.write(`longshore-agent: ${exit.message}\n`)
  else log.fatal({ err: exit.code === 'failed' ? error : undefined, exit: exit.code }, exit.message)
  const former = place === null ? null : giveBack(place.files, place.self, exit.message)
  if (former !== null) becomeProgram(former)
  process.exit(exit.exitCode)
}

const toExit = (error: unknown): AgentExit => {
  if (error instanceof AgentExit) return error
  if (error instanceof JournalError) return error.toExit()
  if (error instanceof SettingsError)
    return new AgentExit('settings', error.problems.join('\nlongshore-agent: '))
  return new AgentExit('failed', error instanceof Error ? error.message : String(error), { cause: error })
}

main().catch((error: unknown) => endFor(error, null, null))
