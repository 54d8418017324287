// The agent's life as a story: be registered, take up what was in flight, stay connected, stop. Everything that
// touches the world comes in; main.ts says what it is.
import type { EncryptionJwk, Facts } from '@longshore/protocol'
import type { ControllerClock } from './controller-clock.ts'
import type { Identity } from './identity.ts'
import type { InventoryWatch } from './inventory.ts'
import type { Ask, Dial, LifeSigns, Log } from './link.ts'
import type { Logs } from './logs.ts'
import type { Clock, PolicySource, Runs } from './ports.ts'
import type { Registration } from './registration.ts'
import { createReporter, type Reporter } from './reporter.ts'
import { serveSessions } from './serve-session.ts'
import type { SessionParty } from './session.ts'
import { stayConnected } from './stay-connected.ts'

export type AgentWorld = {
  clock: Clock
  controllerClock: ControllerClock
  log: Log
  ask: Ask
  dial: Dial
  randomBytes: (count: number) => Uint8Array
  random: () => number
  signs: LifeSigns
  signing: SessionParty['signing']
  encryption: EncryptionJwk
  version: string
  hostName: string
  registration: Registration
  facts: () => Facts
  refreshFacts: () => void
  policy: Pick<PolicySource, 'summary'>
  inventory: InventoryWatch
  logs: Logs
  /** Made late: the runs report to the reporter, and know who they are. */
  openRuns: (reporter: Reporter, identity: Identity) => Promise<Runs>
  /** Resolves when what was delivered is taken; told once sessions are served. */
  served: (idle: () => Promise<void>) => void
  /** Every run that was in flight is under way again. */
  recovered: () => void
  /** The controller has spoken in a session of this process. */
  heard: () => void
}

/** Runs go on in the journal; a Docker call that hangs does not hold the process up. */
const stopLimitMs = 1_500

/** Resolves after the signal was aborted and everything is stopped; rejects when the journal or anything unexpected failed. */
export const runAgent = async (world: AgentWorld, signal: AbortSignal): Promise<void> => {
  const { clock, controllerClock, log, registration, inventory } = world
  const opened: { runs?: Runs } = {}
  const current = (): Runs => {
    if (opened.runs === undefined) throw new TypeError('runs are not open yet')
    return opened.runs
  }
  const reporter = createReporter({ clock, log, key: world.signing, runs: current })
  const runs = await world.openRuns(reporter, registration.identity())
  opened.runs = runs
  const listener = serveSessions({
    clock,
    controllerClock,
    log,
    runs,
    reporter,
    inventory,
    logs: world.logs,
    keys: registration.keys,
    identity: registration.identity,
    self: {
      version: world.version,
      hostName: world.hostName,
      facts: world.facts,
      policy: () => world.policy.summary(),
      encryptionKey: world.encryption
    }
  })
  world.served(listener.idle)
  // not waited for: an engine that is away must not keep the agent from its controller
  const recovered = runs.recover().then(world.recovered)
  world.signs.ready('connecting to the controller')
  const connected = stayConnected(
    world,
    {
      party: () => ({
        signing: world.signing,
        installation: registration.identity().installation,
        keyOf: (kid) => registration.keys().find(kid)
      }),
      hostName: world.hostName,
      listener: {
        ...listener,
        delivered(messages) {
          world.heard()
          listener.delivered(messages)
        }
      },
      disconnected() {
        listener.disconnected()
        world.refreshFacts()
      },
      refreshKeys: registration.refreshKeys,
      registerAgain: registration.registerAgain
    },
    signal
  )
  await Promise.race([connected, recovered.then(() => connected), runs.broken])
  inventory.stop()
  await withinLimit(clock, runs.stop(), log)
}

const withinLimit = async (clock: Clock, stopping: Promise<void>, log: Log): Promise<void> => {
  const late = Promise.withResolvers<'late'>()
  const cancel = clock.after(stopLimitMs, () => late.resolve('late'))
  const first = await Promise.race([stopping, late.promise])
  cancel()
  if (first === 'late')
    log.warn({}, 'a run is still waiting for Docker; it goes on from the journal at the next start')
}
