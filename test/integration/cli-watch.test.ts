// Lists that stay: a real controller, agents that come and go, a controller that goes away, on a pipe and on a
// pseudo terminal.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { upOver } from '../../packages/controller/src/cli/live-screen.ts'
import { renderAgents } from '../../packages/controller/src/cli/render-lists.ts'
import { renderTable } from '../../packages/controller/src/cli/render-table.ts'
import { cutLine, renderWatchFrame } from '../../packages/controller/src/cli/render-watch.ts'
import { createColors } from '../../packages/controller/src/cli/state-colors.ts'
import { startNode } from '../../scripts/hosts/programs.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { cliMain, environmentFor } from '../support/cli-process.ts'
import { type RealController, startRealController } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

t.setTimeout(120_000)

/** Both streams of the process, as they stand now. */
const watching = (t: Test, controller: RealController, command: string[]) => {
  const env = { ...environmentFor(controller.url), LONGSHORE_TOKEN: controller.token }
  const child = spawn(command[0] ?? '', command.slice(1), { env, detached: true })
  const seen = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (seen.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (seen.err += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => Number(code))
  t.teardown(() => child.kill('SIGKILL'))
  const says = (words: RegExp) =>
    waitUntil(`it says ${words}`, () => words.test((seen.out + seen.err).replaceAll('\r', '')), {
      deadlineMs: 60_000
    })
  return { child, seen, ended, says }
}
const longshore = (...args: string[]) => ['env', ...startNode, cliMain, ...args]

const hostOf = async (controller: RealController, name: string) => {
  const machine = await newMachine(name)
  await enrol(controller.url, machine, (await controller.joinToken()).token)
  return { connect: async () => connectAnswering(controller.url, machine, await controller.trust()) }
}

t.test('a watched list in a pipe has a line for each change, and none for what is as it was', async (t) => {
  const controller = await startRealController(t)
  const host = await hostOf(controller, 'web-1')
  const list = watching(t, controller, longshore('agents', '--watch', '--env', 'staging'))
  await list.says(/web-1 in staging: silent/)
  const agent = await host.connect()
  await list.says(/Z web-1 in staging: connected, agent /)
  agent.socket.terminate()
  await list.says(/connected.*\n.*web-1 in staging: silent/)
  list.child.kill('SIGINT')
  t.equal(await list.ended, 0)
  t.equal(list.seen.out.split('\n').length, 4, list.seen.out)
  t.equal(list.seen.err, '')
})

t.test('on a terminal it is redrawn in place, and says when it is not live', async (t) => {
  const controller = await startRealController(t)
  const host = await hostOf(controller, 'web-1')
  const words = longshore('agents', '--watch')
  const screen = watching(t, controller, ['script', '-qec', `exec ${words.join(' ')}`, '/dev/null'])
  await screen.says(/agents {2}live at .*\n.*HOST.*\n.*web-1.*silent/)
  await host.connect()
  await screen.says(/web-1.*connected/)
  await controller.stop()
  await screen.says(/NOT LIVE: as of .*\n.*controller/)
  t.ok(screen.seen.out.includes('\u001b[?25l'), 'the cursor is hidden')
  t.ok(screen.seen.out.includes('\u001b[3A'), 'lines are drawn over')
  screen.child.stdin.write('\u001a')
  await waitUntil('Ctrl-Z gives the cursor back until it goes on', () => {
    // `script` stops with what it runs, before or after it has passed on what was written last
    screen.child.kill('SIGCONT')
    const { out } = screen.seen
    const shownAt = out.indexOf('\u001b[?25h')
    return shownAt >= 0 && out.indexOf('\u001b[?25l', shownAt) >= 0
  })
  screen.child.stdin.write('\u0003')
  t.equal(await screen.ended, 0)
  t.ok(screen.seen.out.endsWith('\u001b[?25h'), 'the cursor is back')
  await controller.start()
})

t.test('a name that does not exist ends it at once', async (t) => {
  const controller = await startRealController(t)
  const list = watching(t, controller, longshore('status', '--watch', '--env', 'nowhere'))
  t.equal(await list.ended, 2)
  t.match(list.seen.err, /nowhere/)
  const events = watching(t, controller, longshore('events', '--follow', '--env', 'nowhere'))
  t.equal(await events.ended, 2)
  const json = watching(t, controller, longshore('agents', '--watch', '--output', 'json'))
  t.equal(await json.ended, 2)
  t.match(json.seen.err, /longshore events --follow/)
})

t.test('a reader that goes away ends what would go on', async (t) => {
  const controller = await startRealController(t)
  const host = await hostOf(controller, 'web-1')
  for (const args of [
    ['events', '--follow'],
    ['agents', '--watch']
  ]) {
    const child = watching(t, controller, longshore(...args))
    await child.says(/silent/)
    child.child.stdout.destroy()
    const agent = await host.connect()
    t.equal(await child.ended, 0, args.join(' '))
    t.equal(child.seen.err, '')
    agent.socket.terminate()
  }
})

t.test('events are told one a line, before and after a lost connection', async (t) => {
  const controller = await startRealController(t)
  const host = await hostOf(controller, 'web-1')
  const now = watching(t, controller, longshore('events'))
  t.equal(await now.ended, 0)
  t.match(JSON.parse(now.seen.out), { type: 'agent', agent: { name: 'web-1', state: 'silent' } })
  const events = watching(t, controller, longshore('events', '--follow', '--env', 'staging'))
  const others = watching(t, controller, longshore('events', '--follow', '--env', 'production'))
  await events.says(/"state":"silent"/)
  const agent = await host.connect()
  await events.says(/"state":"connected"/)
  const { port } = new URL(controller.url)
  await controller.stop()
  await events.says(/trying again/)
  await controller.start({ listen: `127.0.0.1:${port}` })
  const silent = () => events.seen.out.split('"state":"silent"').length - 1
  await waitUntil('it is told anew how things are', () => silent() >= 2)
  agent.socket.terminate()
  for (const one of [events, others]) one.child.kill('SIGTERM')
  t.equal(await events.ended, 0)
  for (const line of events.seen.out.trimEnd().split('\n'))
    t.match(JSON.parse(line), { type: String, at: String })
  t.equal(await others.ended, 0)
  t.equal(others.seen.out, '')
})

t.test('a frame fits the terminal, and greys what it cannot vouch for', async (t) => {
  const colors = createColors(true)
  const text = `A\n${Array.from({ length: 30 }, (_, index) => `${colors.green(`host-${index}`)} connected\n`).join('')}`
  const frame = { columns: 12, rows: 10, nowMs: 60_000, colors }
  const live = renderWatchFrame('longshore agents', { text, shownAtMs: 59_000, lost: null }, frame)
  t.equal(live.length, 10)
  t.match(live.at(-1), /^ {2}and 23 m…$/)
  t.equal(live[2], '\u001b[32mhost-0\u001b[39m con…\u001b[0m')
  const wide = { ...frame, columns: 120 }
  const old = renderWatchFrame('longshore agents', { text, shownAtMs: 1000, lost: null }, wide)
  t.match(old[0], /NOT LIVE: as of 59s ago/)
  t.equal(old[2], colors.dim('host-0 connected'))
  const lost = renderWatchFrame('longshore agents', { text, shownAtMs: 59_000, lost: 'cut\u001b[2J' }, wide)
  t.match(lost[0], /NOT LIVE: as of 1s ago/)
  t.match(lost[1], /cut \[2J; trying again/)
  t.equal(cutLine('abc', 3), 'abc')
  t.equal(cutLine('abcd', 3), 'ab…')
  t.equal(cutLine('你好', 4), '你好')
  t.equal(cutLine('你好吗', 5), '你好…')
  t.equal(cutLine('a你好', 3), 'a…', 'half a character is none')
  t.equal(cutLine(`a\u001b[32m你b\u001b[39mc`, 3), 'a\u001b[32m\u001b[39m…\u001b[0m')
  t.equal(cutLine('e\u0301e\u0301', 2), 'e\u0301e\u0301')
  t.equal(upOver(['你好吗', 'abc'], 4), '\u001b[3A\r', 'the first has wrapped')
  t.equal(
    renderTable(
      ['A', 'B'],
      [
        ['你', 'x'],
        ['abc', 'y']
      ]
    ),
    'A    B\n你   x\nabc  y\n'
  )
  t.match(renderAgents([], colors, 0), /no agents that this token may read/)
})
