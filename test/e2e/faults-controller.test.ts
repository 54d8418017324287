// The controller dies at every stage of a deployment, loses days of its memory, runs out of disk; pipelines deploy
// at once or abort: the waiting command ends with the exit code of what happened, and the hosts agree with it.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Held, Moment } from '../support/e2e-engine-gate.ts'
import {
  type Ended,
  expectTruth,
  type FaultFleet,
  hostOf,
  isProof,
  realPartsOptions,
  startFaultFleet,
  type Waiting,
  waitForSessions,
  waitForSettled
} from '../support/e2e-fault-fleet.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'

/** Where a deployment stands while an agent is held at a step: host 2 switches after host 1. */
type Stage = { name: string; host: number; at: Moment }
const stageOf = (name: string, host: number, command: Moment['command'], step: Moment['step']): Stage => ({
  name,
  host,
  at: { command, step, edge: 'asked' }
})
/** In groups that share one deployment in the short form. */
const forward: readonly (readonly Stage[])[] = [
  [
    stageOf('resolving', 1, 'resolve', 'resolve-image'),
    stageOf('rolling the second batch', 2, 'release', 'monitor'),
    stageOf('cleaning up', 1, 'settle', 'remove-container')
  ],
  [
    stageOf('staging', 2, 'stage', 'fetch-image'),
    stageOf('rolling the first batch', 1, 'release', 'start-container')
  ]
]
const goingBack: readonly Stage[] = [
  stageOf('undoing a failed switch', 2, 'release', 'undo start-container'),
  stageOf('taking back a host that had switched', 1, 'revert', 'start-container')
]

const killController = async (fleet: FaultFleet): Promise<void> => {
  await fleet.controller.kill()
  await fleet.controller.start()
}

/** Kills the controller at each stage in turn while host agents are held there. */
const killAt = async (fleet: FaultFleet, [stage, ...rest]: readonly Stage[]): Promise<void> => {
  if (stage === undefined) return
  const held = await hostOf(fleet, stage.host).gate.hold(stage.at)
  const following = killAt(fleet, rest)
  await killController(fleet)
  held.open()
  await following
}

const expectEnd = async (t: Test, waiting: Waiting, outcome: string): Promise<Ended> => {
  const ended = await waiting.end()
  t.equal(ended.document.outcome, outcome, ended.output)
  return ended
}

const containerName = 'shop'
const watched: Moment = { command: 'release', step: 'monitor', edge: 'answered' }

/** Versions one after the other, on two hosts that switch one after the other. */
class Story {
  readonly fleet: FaultFleet
  serving: string | null = null

  constructor(fleet: FaultFleet) {
    this.fleet = fleet
  }

  /**
   * New agents connect soonest: after some restarts of the controller within a minute the old ones wait up to half
   * a minute before each attempt, as they should.
   */
  async renewAgents(): Promise<void> {
    await Promise.all(
      this.fleet.hosts.map(async ({ agent }) => {
        await agent.kill()
        await agent.start()
      })
    )
  }

  async succeed(t: Test, stages: readonly Stage[] = []): Promise<void> {
    const tag = await this.fleet.pushNext()
    const killed = killAt(this.fleet, stages)
    const waiting = await this.fleet.begin(tag)
    await waiting.meanwhile(killed)
    const ended = await expectEnd(t, waiting, 'succeeded')
    await expectTruth(t, this.fleet, ended, { before: this.serving, after: tag })
    await waitForSettled(this.fleet)
    this.serving = tag
  }

  /** Host 1 has switched and host 2 watches its new container when `happen` is called. */
  async interrupt(
    t: Test,
    outcome: string,
    stages: readonly Stage[],
    happen: (waiting: Waiting, held: Held) => Promise<void>
  ): Promise<void> {
    const tag = await this.fleet.pushNext()
    const reached = hostOf(this.fleet, 2).gate.hold(watched)
    const waiting = await this.fleet.begin(tag)
    const held = await waiting.meanwhile(reached)
    const killed = killAt(this.fleet, stages)
    await happen(waiting, held)
    await waiting.meanwhile(killed)
    const ended = await expectEnd(t, waiting, outcome)
    await expectTruth(t, this.fleet, ended, { before: this.serving, after: tag })
  }
}

const startStory = async (t: Test, options: Parameters<typeof startFaultFleet>[2] = {}): Promise<Story> => {
  const fleet = await startFaultFleet(t, 2, options)
  await fleet.apply({
    container_name: containerName,
    deploy: { update_config: { monitor: '300ms', delay: '1s' } }
  })
  const story = new Story(fleet)
  await story.succeed(t)
  return story
}

/** The new container of host 2 dies, and so both hosts go back. */
const failOnHost2 =
  ({ fleet }: Story) =>
  async (_waiting: Waiting, held: Held): Promise<void> => {
    await hostOf(fleet, 2).engine.client.post(`/containers/${containerName}/kill`)
    held.open()
  }

const dieAtEveryStage = async (t: Test, story: Story): Promise<void> => {
  for (const stages of isProof ? oneByOne(forward.flat()) : forward)
    await t.test(`killed while ${namesOf(stages)}`, async (t) => {
      await story.renewAgents()
      await story.succeed(t, stages)
    })
  for (const stages of isProof ? oneByOne(goingBack) : [goingBack.slice(1)])
    await t.test(`killed while ${namesOf(stages)}`, async (t) => {
      await story.renewAgents()
      await story.interrupt(t, 'reverted', stages, failOnHost2(story))
    })
  await t.test('killed between two batches', async (t) => {
    await story.renewAgents()
    const tag = await story.fleet.pushNext()
    const waiting = await story.fleet.begin(tag)
    await waiting.process.waitForLine(/"host":"host1".*"state":"released"/)
    await killController(story.fleet)
    const ended = await expectEnd(t, waiting, 'succeeded')
    await expectTruth(t, story.fleet, ended, { before: story.serving, after: tag })
    story.serving = tag
  })
}

const oneByOne = (stages: readonly Stage[]): Stage[][] => stages.map((stage) => [stage])
const namesOf = (stages: readonly Stage[]): string => stages.map(({ name }) => name).join(', ')

const abort = async (t: Test, story: Story): Promise<void> => {
  await story.interrupt(t, 'cancelled', [], async (waiting, held) => {
    waiting.process.signal('SIGTERM')
    await waiting.process.waitForLine(/SIGTERM: cancelling/)
    held.open()
  })
}

const deployTwiceAtOnce = async (t: Test, story: Story): Promise<void> => {
  const { fleet } = story
  const tag = await fleet.pushNext()
  const reached = hostOf(fleet, 1).gate.hold({ command: 'stage', step: 'fetch-image', edge: 'asked' })
  const first = await fleet.begin(tag)
  const held = await first.meanwhile(reached)
  const { exitCode, document, stderr } = await fleet.deploy(tag)
  const holder = /dep_[0-9a-v]+/.exec(first.process.output)?.[0]
  t.equal(exitCode, 4)
  t.match(document, {
    outcome: 'refused',
    id: null,
    code: 'locked',
    lock: { deployment: holder, holder: 'admin' }
  })
  const { sinceMs } = (document as unknown as { lock: { sinceMs: number } }).lock
  t.ok(Math.abs(Date.now() - sinceMs) < 60_000, 'since when is told')
  t.match(stderr, new RegExp(`admin.*${holder}|${holder}.*admin`, 's'), 'who holds it is told in words')
  held.open()
  const ended = await expectEnd(t, first, 'succeeded')
  await expectTruth(t, fleet, ended, { before: story.serving, after: tag })
  story.serving = tag
}

/** The backup is made while the controller runs; whatever was deployed since is known to the hosts alone. */
const restoreYesterday = async (t: Test, story: Story): Promise<void> => {
  const { controller } = story.fleet
  const file = join(makeTestFolder(t), 'backup.tar')
  const care = async (verb: string): Promise<void> => {
    const { exitCode, stderr } = await controller.cli(
      'controller',
      verb,
      file,
      '--data',
      controller.dataFolder
    )
    t.equal(exitCode, 0, stderr)
  }
  await care('backup')
  await story.succeed(t)
  await story.succeed(t)
  await story.renewAgents()
  await waitForSessions(story.fleet)
  await controller.stop()
  rmSync(controller.dataFolder, { recursive: true })
  await care('restore')
  await controller.start()
  await story.succeed(t)
}

testOnRealParts(
  t,
  'whatever becomes of the controller, the waiting command ends with what happened',
  async (t) => {
    const story = await startStory(t)
    await dieAtEveryStage(t, story)
    await t.test('SIGTERM on the waiting command takes every host back', (t) => abort(t, story))
    await t.test('of two deployments at once one is refused, and told who holds the service', (t) =>
      deployTwiceAtOnce(t, story)
    )
    await t.test("on yesterday's backup the next deployment works", (t) => restoreYesterday(t, story))
  },
  realPartsOptions
)
