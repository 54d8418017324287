// What is around the programs fails: the network of a host, for longer than the controller waits or in one
// direction only, and the disk under the controller's store. What nobody knows is called unknown, what cannot be
// stored is refused, and all of it comes right by itself once the fault is over.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { collectCommand, runCommand } from '../../scripts/hosts/run-command.ts'
import {
  expectTruth,
  type FaultFleet,
  type FaultHost,
  hostOf,
  isProof,
  realPartsOptions,
  startFaultFleet,
  waitForSettled
} from '../support/e2e-fault-fleet.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

/** A fault of one host's network; `end` mends it. */
type Cut = { name: string; begin(host: FaultHost): Promise<void>; end(host: FaultHost): Promise<void> }

const inHost = (host: FaultHost, ...command: string[]): Promise<string> => {
  const [file = '', ...args] = [...host.enter, ...command]
  return runCommand(file, args)
}
const controllerPort = '7300'
const fromController = ['INPUT', '-p', 'tcp', '--sport', controllerPort]
const toController = ['OUTPUT', '-p', 'tcp', '--dport', controllerPort]
const filter = (...rules: string[][]): Pick<Cut, 'begin' | 'end'> => ({
  begin: async (host) => {
    for (const rule of rules) await inHost(host, 'iptables', '-I', ...rule)
  },
  end: async (host) => {
    for (const rule of rules) await inHost(host, 'iptables', '-D', ...rule)
  }
})
const cable: Cut = { name: 'the cable is out', begin: (host) => host.cut(), end: (host) => host.mend() }
/** The controller learns of it at its next ping; a cable that is out only after the silence limit. */
const firewall: Cut = {
  name: 'a firewall resets the connection',
  ...filter(
    [...fromController, '-j', 'REJECT', '--reject-with', 'tcp-reset'],
    [...toController, '!', '--tcp-flags', 'RST', 'RST', '-j', 'DROP']
  )
}
const deafHost: Cut = { name: 'nothing reaches the host', ...filter([...fromController, '-j', 'DROP']) }
const dumbHost: Cut = { name: 'nothing leaves the host', ...filter([...toController, '-j', 'DROP']) }

class Story {
  readonly fleet: FaultFleet
  serving: string | null = null

  constructor(fleet: FaultFleet) {
    this.fleet = fleet
  }

  async succeed(t: Test): Promise<void> {
    const tag = await this.fleet.pushNext()
    const waiting = await this.fleet.begin(tag)
    const ended = await waiting.end()
    t.equal(ended.document.outcome, 'succeeded', ended.output)
    await expectTruth(t, this.fleet, ended, { before: this.serving, after: tag })
    await waitForSettled(this.fleet)
    this.serving = tag
  }
}

/** Host 2 is lost while it switches; when it is back it is told what it has missed. */
const loseHost = async (t: Test, { fleet, serving }: Story, cut: Cut): Promise<void> => {
  const host = hostOf(fleet, 2)
  const tag = await fleet.pushNext()
  const reached = host.gate.hold({ command: 'release', step: 'monitor', edge: 'asked' })
  const waiting = await fleet.begin(tag)
  const held = await waiting.meanwhile(reached)
  await cut.begin(host)
  const ended = await waiting.end()
  t.match(ended, { exitCode: 5, document: { outcome: 'mixed', reason: /host2/ } }, ended.output)
  t.match(
    ended.document.targets.find((target) => target.host === 'host2'),
    { state: 'unknown', serving: 'unknown' }
  )
  held.open()
  await cut.end(host)
  await waitUntil(
    'the lost host to go back by itself',
    async () => (await fleet.pages()).every((page) => page === serving),
    { deadlineMs: 90_000, intervalMs: 200 }
  )
  await waitForSettled(fleet)
  const shown = await fleet.controller.cli('attach', ended.document.id, '--output', 'json')
  t.equal(shown.exitCode, 5, 'the outcome never changes afterwards')
  await waitUntil('the target to be shown as reverted', async () => {
    const { stdout } = await fleet.controller.cli('attach', ended.document.id, '--output', 'json')
    return /"host":"host2","state":"reverted"/.test(stdout.replaceAll(/\s/g, ''))
  })
}

/** A fault shorter than the controller waits leaves no trace. */
const interruptHost = async (t: Test, story: Story, cut: Cut): Promise<void> => {
  const { fleet } = story
  const host = hostOf(fleet, 1)
  const tag = await fleet.pushNext()
  const reached = host.gate.hold({ command: 'release', step: 'start-container', edge: 'asked' })
  const waiting = await fleet.begin(tag)
  const held = await waiting.meanwhile(reached)
  await cut.begin(host)
  held.open()
  await waitUntil('the host to have switched, unheard', async () => (await fleet.pages())[0] === tag)
  await cut.end(host)
  const ended = await waiting.end()
  t.equal(ended.document.outcome, 'succeeded', ended.output)
  await expectTruth(t, fleet, ended, { before: story.serving, after: tag })
  await waitForSettled(fleet)
  story.serving = tag
}

/** A disk of its own, so small that it can be filled. */
const mountSmallDisk = async (t: Test): Promise<{ folder: string; fill(): void; free(): void }> => {
  const folder = join(makeTestFolder(t), 'disk')
  mkdirSync(folder)
  await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=16m,mode=0700', 'longshore-test', folder])
  t.teardown(() => collectCommand('umount', ['-l', folder]))
  const filler = join(folder, 'filler')
  return {
    folder,
    fill: () => {
      const chunk = Buffer.alloc(4096)
      try {
        for (;;) writeFileSync(filler, chunk, { flag: 'a' })
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      }
    },
    free: () => rmSync(filler)
  }
}

const fillDisk = async (
  t: Test,
  story: Story,
  disk: Awaited<ReturnType<typeof mountSmallDisk>>
): Promise<void> => {
  const { fleet } = story
  // At the end of a process the log of the database is folded into it: from then on every write needs room.
  await fleet.controller.stop()
  disk.fill()
  await fleet.controller.start()
  const tag = await fleet.pushNext()
  const { exitCode, document, stderr } = await fleet.deploy(tag)
  t.match(
    { exitCode, document },
    { exitCode: 4, document: { outcome: 'refused', id: null, code: 'storage-full' } }
  )
  t.match(stderr, /the disk under the data directory is full; nothing was changed/)
  t.strictSame(await fleet.pages(), [story.serving, story.serving], 'nothing was touched')
  disk.free()
  await story.succeed(t)
}

testOnRealParts(
  t,
  'a network that is cut and a disk that is full are told as they are, and pass',
  async (t) => {
    const disk = await mountSmallDisk(t)
    const fleet = await startFaultFleet(t, 2, {
      controllerArgs: ['--lost-after', '5s'],
      controllerData: join(disk.folder, 'controller')
    })
    await fleet.apply({ deploy: { update_config: { monitor: '300ms' } } })
    const story = new Story(fleet)
    await story.succeed(t)
    for (const cut of isProof ? [firewall, cable] : [firewall])
      await t.test(`${cut.name} for too long: mixed, and the host goes back when it returns`, (t) =>
        loseHost(t, story, cut)
      )
    for (const cut of isProof ? [cable, deafHost, dumbHost] : [deafHost, dumbHost])
      await t.test(`${cut.name} for a moment: the deployment succeeds`, (t) => interruptHost(t, story, cut))
    await t.test('a full disk under the store refuses a deployment in words', (t) => fillDisk(t, story, disk))
  },
  realPartsOptions
)
