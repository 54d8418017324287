// Logs of containers on real parts: one engine, and controller, agent and CLI as processes. What a reader gets is
// counted at the numbers that the containers write; a container that writes more than anybody reads runs beside a
// deployment: in the gate in bursts, with LONGSHORE_PROOF=1 (`npm run proof:logs`) as fast as the engine takes it.
import { writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import type { Test } from 'tap'
import t from 'tap'
import type { LogEvent } from '../../packages/controller/src/api/schemas.ts'
import { isProof, realPartsOptions } from '../support/e2e-fault-fleet.ts'
import { type Fleet, startFleet } from '../support/fleet.ts'
import type { RunningProcess } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

/** Counts upwards, a line to each stream, some ten a second; serves its page all the while. */
const counting = [
  '/bin/sh',
  '-c',
  [
    'trap "exit 0" TERM',
    '/bin/busybox httpd -p 8888 -h /www',
    'n=0',
    'while :; do n=$$((n+1)); echo "count $$n"; echo "warn $$n" >&2; /bin/busybox usleep 100000; done'
  ].join('; ')
]
const flooding = ['/bin/sh', '-c', `exec /bin/busybox yes ${'flood '.repeat(16)}`]
/** More than an agent reads (2 MiB a second), in lines of 1.2 KB, which cost the engine least. */
const bursting = [
  '/bin/sh',
  '-c',
  `while :; do /bin/busybox yes ${'flood '.repeat(200)} | /bin/busybox head -c 4000000; /bin/busybox usleep 150000; done`
]

const eventsOf = (running: RunningProcess): LogEvent[] =>
  running.output.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line) as LogEvent] : []))
const linesOf = (running: RunningProcess) =>
  eventsOf(running).filter((event): event is Extract<LogEvent, { type: 'line' }> => event.type === 'line')
const numbersOf = (running: RunningProcess, container: string): number[] =>
  linesOf(running).flatMap((line) => {
    const [, number] = /^count (\d+)$/.exec(line.text) ?? []
    return line.container === container && number !== undefined ? [Number(number)] : []
  })

const follow = (fleet: Fleet, service: string, ...more: string[]): Promise<RunningProcess> =>
  fleet.controller.startCli('logs', service, '--env', 'test', '--follow', '--output', 'ndjson', ...more)

const waitForCount = (running: RunningProcess, more: number): Promise<unknown> => {
  const before = linesOf(running).length
  return waitUntil(
    `${String(more)} more lines\n${running.output.slice(-2000)}`,
    async () => linesOf(running).length >= before + more
  )
}

testOnRealParts(
  t,
  'logs are followed across kills and deployments, and no line is lost or twice',
  async (t) => {
    const fleet = await startFleet(t, 1)
    const [host] = fleet.hosts
    if (host === undefined) throw new Error('no host')
    await fleet.apply({ command: counting })
    await fleet.push('v1')
    t.equal((await fleet.deploy('v1')).exitCode, 0)
    const reader = await follow(fleet, 'web')
    t.teardown(() => reader.stop())
    await waitForCount(reader, 10)
    const [{ container } = { container: '' }] = linesOf(reader)

    await host.agent.kill()
    await reader.waitForLine(/"state":"lost"/)
    await host.agent.start()
    await reader.waitForLine(/again, from the last line that came/)
    await waitForCount(reader, 10)

    await fleet.controller.kill()
    await reader.waitForLine(/trying again/)
    await fleet.controller.start()
    await reader.waitForLine(/connected to the controller again/)
    await fleet.waitForAgents()
    await waitForCount(reader, 10)
    const numbers = numbersOf(reader, container)
    const [first = 0] = numbers
    t.same(
      numbers,
      Array.from({ length: numbers.length }, (_, index) => first + index),
      'none lost, none twice'
    )

    await fleet.apply({ command: counting, tty: true })
    await fleet.push('v2')
    t.equal((await fleet.deploy('v2')).exitCode, 0)
    await reader.waitForLine(/"state":"begun".*"release":2/)
    await waitForCount(reader, 10)
    const latest = linesOf(reader).at(-1)
    t.not(latest?.container, container, 'the lines are those of the new container')
    t.same([...new Set(linesOf(reader).map(({ from }) => from))].sort(), ['stderr', 'stdout', 'tty'])

    reader.signal('SIGINT')
    t.equal((await reader.ended).exitCode, 0, 'Ctrl-C ends it well')

    await t.test('what there is is told once, searched on the host', async (t) => {
      const logs = (...more: string[]) => fleet.controller.cli('logs', 'web', '--env', 'test', ...more)
      const some = await logs('--tail', '3', '--grep', 'warn')
      t.equal(some.exitCode, 0, some.stderr)
      t.match(some.stdout, /^\S+ \| warn \d+\n/)
      t.notMatch(some.stdout, /count/)
      t.match(await logs('--host', 'nowhere'), { exitCode: 2, stderr: /nowhere/ })
      const audit = await fleet.controller.cliJson<{ subject: string }[]>('audit', '--action', 'logs.read')
      t.equal(audit.document[0]?.subject, 'test/web')
    })
    let quietMs = 0
    await t.test('a log driver that keeps nothing is said, and is no error', async (t) => {
      await fleet.push('v3')
      await fleet.apply({ logging: { driver: 'none' } })
      quietMs = await timedDeploy(t, fleet, 'v3')
      const none = await fleet.controller.cli('logs', 'web', '--env', 'test')
      t.match(none, { exitCode: 0, stderr: /nothing can be read of container/ })
    })
    await t.test('a flood beside it does not keep a deployment from its end', (t) =>
      besideFlood(t, fleet, quietMs)
    )
  },
  realPartsOptions
)

const timedDeploy = async (t: Test, fleet: Fleet, tag: string): Promise<number> => {
  const beganAtMs = performance.now()
  const { exitCode, document } = await fleet.deploy(tag)
  t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded' } }, tag)
  return performance.now() - beganAtMs
}

/** Bytes that a process had in memory at most. */
const peakOf = async (pid: number): Promise<number> => {
  const { readFile } = await import('node:fs/promises')
  const [, kib = '0'] = /VmHWM:\s+(\d+) kB/.exec(await readFile(`/proc/${String(pid)}/status`, 'utf8')) ?? []
  return Number(kib) * 1024
}

/** Reads nothing until it is told to; then everything, until the words come. */
const openLazyReader = async (t: Test, { url, token }: Fleet['controller'], path: string) => {
  const request = get(`${url}${path}`, { headers: { authorization: `Bearer ${token}` } })
  t.teardown(() => request.destroy())
  const answer = await new Promise<NodeJS.ReadableStream>((resolve) => request.once('response', resolve))
  return {
    readUntil: async (words: RegExp): Promise<void> => {
      for await (const chunk of answer) if (words.test(String(chunk))) return
      throw new Error(`the stream ended without ${String(words)}`)
    }
  }
}

/** Runs `flood`, which writes and writes, on the host. */
const deployFlood = async (t: Test, { controller: { cli }, push, registry }: Fleet): Promise<void> => {
  const file = join(makeTestFolder(t), 'flood.yaml')
  const flood = {
    image: `${registry.name}/web`,
    command: isProof ? flooding : bursting,
    logging: { driver: 'json-file', options: { 'max-size': '20m', 'max-file': '2' } },
    healthcheck: { test: ['CMD', '/bin/busybox', 'true'], interval: '500ms' },
    deploy: { update_config: { monitor: '100ms' } },
    stop_grace_period: '1s'
  }
  writeFileSync(file, JSON.stringify({ services: { flood } }))
  t.equal((await cli('apply', '-f', file, '--env', 'test')).exitCode, 0)
  await push('flood', 'unchecked')
  const { exitCode, stderr } = await cli('deploy', 'flood', '--env', 'test', '--tag', 'flood')
  t.equal(exitCode, 0, stderr)
}

/** @param quietMs what a deployment took without it */
const besideFlood = async (t: Test, fleet: Fleet, quietMs: number): Promise<void> => {
  const deployAll = async (beside: string, tags: readonly string[]): Promise<void> => {
    const ratios: string[] = []
    for (const tag of tags) {
      await fleet.push(tag)
      ratios.push(((await timedDeploy(t, fleet, tag)) / quietMs).toFixed(2))
    }
    t.comment(`beside a flood that ${beside}, deployments took so many times as long: ${ratios.join(' ')}`)
  }
  await fleet.apply()
  await deployFlood(t, fleet)
  if (isProof) await deployAll('nobody reads', ['u1', 'u2', 'u3', 'u4', 'u5'])
  const lazy = await openLazyReader(
    t,
    fleet.controller,
    '/v1/logs?environment=test&service=flood&follow=true'
  )
  const reader = await follow(fleet, 'flood', '--tail', '1')
  t.teardown(() => reader.stop())
  await reader.waitForLine(/flood flood/)

  await deployAll('is read', isProof ? ['v4', 'v5', 'v6', 'v7', 'v8'] : ['v4'])
  await lazy.readUntil(/"type":"left-out"/)
  for (const { process } of [fleet.controller, ...fleet.hosts.map(({ agent }) => agent)])
    t.ok((await peakOf(process.pid)) < 400 * 1024 * 1024, 'memory is bounded')
  const { cli } = fleet.controller
  t.ok((await cli('agents')).stdout.includes('connected'), 'and the host was never lost')
  t.equal((await cli('remove', 'flood', '--env', 'test', '--yes')).exitCode, 0)
}
