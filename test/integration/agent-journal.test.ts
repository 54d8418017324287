// The agent's journal where it hurts: a disk that is full, files of a newer or a broken journal. The agent is the
// real process; the controller is the test, so that it sees every message.
import { randomBytes } from 'node:crypto'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { formatId, runReport, signJws, verifyJws } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/hosts/run-command.ts'
import { startTestAgent } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec } from '../support/run-samples.ts'
import { startWireController } from '../support/wire-controller.ts'

const journalFile = 'journal.sqlite'
/** More than fits into a page of the file that is begun already. */
const padding = Object.fromEntries(['a', 'b', 'c', 'd'].map((key) => [key, key.repeat(4_000)]))

/** A registered agent without an engine, so that its runs last until they are cancelled. */
const startScene = async (t: Test, dataFolder: string) => {
  const controller = await startWireController()
  const agent = await startTestAgent(t, {
    name: 'host-1',
    dataFolder,
    controllerUrl: controller.url.href,
    joinToken: await controller.joinToken(),
    dockerHost: `unix://${dataFolder}/none.sock`
  })
  t.teardown(() => controller.close())
  return { controller, agent }
}
type Scene = Awaited<ReturnType<typeof startScene>>

const releaseCommand = ({ controller }: Scene, number: number) => ({
  id: formatId('cmd', randomBytes(13)),
  installation: controller.installation,
  agent: controller.agent,
  environment: 'staging',
  service: 'web',
  deployment: formatId('dep', randomBytes(13)),
  fence: { generation: number, epoch: 0, index: 0 },
  notAfterMs: Date.now() + 60_000,
  timeLimitMs: 60_000,
  body: releaseBody(number, sampleSpec({ labels: padding }))
})

/** Writes until nothing fits any more; returns how to free it. */
const fillDisk = (folder: string): (() => void) => {
  const path = join(folder, 'filler')
  for (let bytes = 1024 * 1024; bytes >= 1; bytes = Math.floor(bytes / 2)) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' })
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOSPC') throw error
    }
  }
  return () => rmSync(path)
}

testOnRealParts(t, 'a full disk: nothing is promised that is not written, and nothing is lost', async (t) => {
  const folder = makeTestFolder(t)
  await runCommand('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', folder])
  t.teardown(async () => {
    await runCommand('umount', ['--lazy', folder])
  })
  const scene = await startScene(t, folder)
  const { controller, agent } = scene
  const peer = await controller.peer(0)
  await peer.next('hello')
  const first = releaseCommand(scene, 1)
  const firstJws = await signJws('command', first, controller.key)
  await peer.send([{ type: 'command', jws: firstJws }])
  t.equal((await peer.next('accepted')).command, first.id)

  const freeDisk = fillDisk(folder)
  const second = releaseCommand(scene, 2)
  const secondJws = await signJws('command', second, controller.key)
  await peer.send([{ type: 'command', jws: secondJws }])
  t.match(await peer.next('refused'), {
    command: second.id,
    code: 'busy',
    detail: /journal\.sqlite cannot be written .*full.*; make room/
  })

  const ended = agent.process.ended
  await peer.send([{ type: 'cancel', command: first.id as never }])
  t.equal((await ended).exitCode, 74, agent.process.output)
  t.match(agent.process.output, /"level":"fatal".*journal\.sqlite cannot be written/)

  await agent.start()
  t.equal((await agent.process.ended).exitCode, 74, 'the same while there is no room')

  freeDisk()
  await agent.start()
  const next = await controller.peer(1)
  const hello = await next.next('hello')
  t.same(hello.runs, [first.id], 'the run is in the journal')
  await next.send([
    { type: 'cancel', command: first.id as never },
    { type: 'command', jws: secondJws }
  ])
  t.equal((await next.next('accepted')).command, second.id, 'what was refused is taken now')
  const { jws } = await next.next('report')
  const report = await verifyJws('receipt', jws, () => controller.state.agentKey, runReport)
  t.match(report, {
    command: first.id,
    number: 1,
    outcome: { status: 'failed', error: { code: 'cancelled' } }
  })
})

t.test('a journal that cannot be used ends the agent for good, with what to do', async (t) => {
  const folder = makeTestFolder(t)
  const { controller, agent } = await startScene(t, folder)
  await (await controller.peer(0)).next('hello')
  await agent.stop()
  const path = join(folder, journalFile)
  const newer = new DatabaseSync(path)
  newer.exec('pragma user_version = 99')
  newer.close()
  await agent.start()
  t.equal((await agent.process.ended).exitCode, 73, agent.process.output)
  t.match(agent.process.output, /has version 99; this agent knows 1: install the newer agent again/)

  writeFileSync(path, 'this is no database, but long enough to look like one'.repeat(50))
  await agent.start()
  t.equal((await agent.process.ended).exitCode, 73, agent.process.output)
  t.match(agent.process.output, /is damaged; stop the agent and move journal\.sqlite\* away/)

  for (const file of readdirSync(folder)) if (file.startsWith(journalFile)) rmSync(join(folder, file))
  await agent.start()
  await (await controller.peer(1)).next('hello')
})
