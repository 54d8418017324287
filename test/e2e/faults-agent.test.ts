// Whatever dies on a host in the middle of a run - the agent, the engine, both, the container kept for the way
// back - the deployment ends without help, and what was reported is what the host runs.
import t, { type Test } from 'tap'
import { type Held, type Moment, nameOf } from '../support/e2e-engine-gate.ts'
import {
  containersOf,
  expectKeptStaysDown,
  expectTruth,
  type FaultFleet,
  type FaultHost,
  hostOf,
  isProof,
  realPartsOptions,
  startFaultFleet,
  waitForSettled
} from '../support/e2e-fault-fleet.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const at = (command: Moment['command'], step: Moment['step'], edge: Moment['edge'] = 'asked'): Moment => ({
  command,
  step,
  edge
})
const policyAt = (...args: Parameters<typeof at>): Moment => ({ ...at(...args), isPolicy: true })

/** A switch that succeeds, in the order in which an agent comes by: each kind of step. */
const forward: readonly Moment[] = [
  at('resolve', 'resolve-image'),
  at('stage', 'check-disk'),
  at('stage', 'check-ports', 'answered'),
  at('stage', 'create-network', 'answered'),
  at('stage', 'fetch-image', 'answered'),
  at('stage', 'verify-image'),
  at('stage', 'tag-image', 'answered'),
  at('release', 'check-ports'),
  at('release', 'create-container', 'answered'),
  policyAt('release', 'retire-container', 'answered'),
  at('release', 'retire-container', 'answered'),
  at('release', 'rename-container'),
  policyAt('release', 'start-container', 'answered'),
  at('release', 'start-container', 'answered'),
  at('release', 'await-healthy'),
  at('release', 'monitor'),
  at('settle', 'remove-container', 'answered'),
  at('settle', 'prune-images')
]
/** On a host that had switched when another one failed, and whose kept container was pruned. */
const back: readonly Moment[] = [
  at('revert', 'create-container', 'answered'),
  policyAt('revert', 'retire-container'),
  at('revert', 'retire-container', 'answered'),
  at('revert', 'rename-container'),
  at('revert', 'start-container', 'answered'),
  at('revert', 'await-healthy'),
  at('revert', 'remove-container', 'answered')
]
/** On the host whose own switch failed. */
const undone: readonly Moment[] = [
  at('release', 'undo remove-container', 'answered'),
  at('release', 'undo rename-container'),
  policyAt('release', 'undo start-container', 'answered'),
  at('release', 'undo start-container', 'answered'),
  at('release', 'undo await-healthy')
]
/** The engine restarts between every two steps of a switch and of the cleaning up after it. */
const engineForward = forward.filter(({ command }) => command === 'release' || command === 'settle')
const inBothWays = (moments: readonly Moment[]): Moment[] =>
  moments.flatMap((moment) => [
    { ...moment, edge: 'asked' },
    { ...moment, edge: 'answered' }
  ])

/** What happens while the agent is held at the moment; afterwards the agent goes on, or goes on anew. */
type Fault = { name: string; strike(t: Test, host: FaultHost, held: Held, moment: Moment): Promise<void> }

const agentKilled: Fault = {
  name: 'the agent is killed',
  strike: async (_t, { agent }, held) => {
    await agent.kill()
    held.drop()
    await agent.start()
  }
}
const engineStopped: Fault = {
  name: 'the engine is stopped and started',
  strike: async (t, host, held, moment) => {
    await host.engine.shutDown()
    await host.engine.start()
    await expectRightOneUp(t, host, moment)
    held.open()
  }
}
const engineKilled: Fault = {
  name: 'the engine is killed and started',
  strike: async (t, host, held, moment) => {
    await host.engine.kill()
    await host.engine.start()
    await expectRightOneUp(t, host, moment)
    held.open()
  }
}
const bothKilled: Fault = {
  name: 'the engine is stopped and started while the agent is down',
  strike: async (t, host, held, moment) => {
    await host.agent.kill()
    held.drop()
    await host.engine.shutDown()
    await host.engine.start()
    await expectRightOneUp(t, host, moment)
    await host.agent.start()
  }
}
const engineFaults = [engineStopped, engineKilled, bothKilled]

/** After an engine restart: never two containers, and one where no step of the agent is missing for it. */
const expectRightOneUp = async (t: Test, host: FaultHost, moment: Moment): Promise<void> => {
  const isSwitching = /retire|rename|undo|(create|start)-container/.test(moment.step)
  const running = async () => (await containersOf(host)).filter(({ isRunning }) => isRunning)
  if (!isSwitching || (moment.step === 'start-container' && moment.edge === 'answered' && !moment.isPolicy))
    await waitUntil(`one container to serve again at "${nameOf(moment)}"`, async () => {
      return (await running()).length === 1
    })
  t.ok((await running()).length <= 1, `at "${nameOf(moment)}" not two containers run`)
  expectKeptStaysDown(
    t,
    host,
    (await containersOf(host)).filter(({ hasRun }) => hasRun)
  )
}

/** Strikes at each moment, one after the other; waits for the first one from the call on. */
const strikeAtEach = async (
  t: Test,
  host: FaultHost,
  moments: readonly Moment[],
  faultAt: (index: number) => Fault
): Promise<void> => {
  const [first, ...rest] = moments
  if (first === undefined) return
  const held = await host.gate.hold(first)
  // The gate must know the next moment before the agent goes on.
  const following = strikeAtEach(t, host, rest, (index) => faultAt(index + 1))
  await Promise.all([faultAt(0).strike(t, host, held, first), following])
}

/** One version after the other on a fleet whose hosts all serve the one before. */
class Story {
  readonly fleet: FaultFleet
  serving: string | null = null
  #networks = 0

  constructor(fleet: FaultFleet) {
    this.fleet = fleet
  }

  /** Host 1 is struck while the next version is deployed everywhere. */
  async succeed(t: Test, moments: readonly Moment[], faultAt: (index: number) => Fault): Promise<void> {
    if (moments.some(({ step }) => step === 'create-network')) await this.#moveToNewNetwork()
    const tag = await this.fleet.pushNext()
    const struck = strikeAtEach(t, hostOf(this.fleet, 1), moments, faultAt)
    const waiting = await this.fleet.begin(tag)
    await waiting.meanwhile(struck)
    const end = await waiting.end()
    t.equal(end.document.outcome, 'succeeded', end.output)
    await expectTruth(t, this.fleet, end, { before: this.serving, after: tag })
    await waitForSettled(this.fleet)
    this.serving = tag
  }

  /**
   * The new container of host 2 dies while it is watched. Before that the kept one of host 1 is pruned, and so
   * both hosts go back, each being struck meanwhile.
   */
  async goBack(
    t: Test,
    on: { host1: readonly Moment[]; host2: readonly Moment[] },
    faultAt: (index: number) => Fault
  ): Promise<void> {
    const [host1, host2] = [hostOf(this.fleet, 1), hostOf(this.fleet, 2)]
    const tag = await this.fleet.pushNext()
    const watched = host2.gate.hold(at('release', 'monitor', 'answered'))
    const waiting = await this.fleet.begin(tag)
    const held = await waiting.meanwhile(watched)
    await host1.engine.client.post('/containers/prune')
    const struck = [
      strikeAtEach(t, host1, on.host1, faultAt),
      strikeAtEach(t, host2, on.host2, (index) => faultAt(index + on.host1.length))
    ]
    await host2.engine.client.post(`/containers/${containerName}/kill`)
    held.open()
    await waiting.meanwhile(Promise.all(struck))
    const end = await waiting.end()
    t.equal(end.document.outcome, 'reverted', end.output)
    await expectTruth(t, this.fleet, end, { before: this.serving, after: tag })
  }

  /** From the next version on the service uses a network that no host has: an agent makes only what is missing. */
  async #moveToNewNetwork(): Promise<void> {
    this.#networks += 1
    await this.fleet.apply({ ...service, networks: [`net${this.#networks}`] })
  }
}

const containerName = 'shop'
const service = { container_name: containerName, deploy: { update_config: { monitor: '300ms' } } }

const startStory = async (t: Test): Promise<Story> => {
  const fleet = await startFaultFleet(t, 2)
  await fleet.apply(service)
  return new Story(fleet)
}

testOnRealParts(
  t,
  'an agent killed at every step, an engine restarted between steps: what is reported is what runs',
  async (t) => {
    const story = await startStory(t)
    const agentFault = () => agentKilled
    const engineFault = (index: number) => engineFaults[index % engineFaults.length] ?? engineStopped
    // each restart takes seconds: a few here, each way once; the proof has every moment
    const few = (moments: readonly Moment[]) => moments.filter((_, index) => index % 3 === 0)
    await t.test('the first release ever is removed again', (t) =>
      story.goBack(
        t,
        {
          host1: [at('remove', 'remove-container', 'answered')],
          host2: [at('release', 'undo remove-container')]
        },
        agentFault
      )
    )
    await t.test('a first release', (t) => story.succeed(t, [], agentFault))
    await t.test('killed on the way forward', (t) => story.succeed(t, forward, agentFault))
    await t.test('killed on the way back', (t) => story.goBack(t, { host1: back, host2: undone }, agentFault))
    await t.test('engines restarted on the way forward', (t) =>
      story.succeed(t, few(engineForward), engineFault)
    )
    await t.test('engines restarted on the way back', (t) =>
      story.goBack(t, { host1: few(back), host2: few(undone) }, engineFault)
    )
  },
  realPartsOptions
)

if (isProof)
  testOnRealParts(
    t,
    'every fault at every moment, before and after the engine has done its part',
    async (t) => {
      const story = await startStory(t)
      await t.test('a first release', (t) => story.succeed(t, [], () => agentKilled))
      for (const fault of [agentKilled, ...engineFaults]) {
        const faultAt = () => fault
        for (const moment of inBothWays(forward))
          await t.test(`${fault.name}: ${nameOf(moment)}`, (t) => story.succeed(t, [moment], faultAt))
        for (const moment of inBothWays(back))
          await t.test(`${fault.name}: ${nameOf(moment)}`, (t) =>
            story.goBack(t, { host1: [moment], host2: [] }, faultAt)
          )
        for (const moment of inBothWays(undone))
          await t.test(`${fault.name}: ${nameOf(moment)}`, (t) =>
            story.goBack(t, { host1: [], host2: [moment] }, faultAt)
          )
      }
    },
    realPartsOptions
  )
