// Agents that become another version of themselves, on real parts: two hosts, a registry, and bundles as processes that
// are started again as a supervisor does it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bundlePrograms } from '../../scripts/bundle.ts'
import { bundledPrograms } from '../../scripts/hosts/programs.ts'
import { makeAgentImage } from '../support/agent-image.ts'
import { type DeployDocument, type Fleet, type FleetHost, startFleet } from '../support/fleet.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type AgentRow = { name: string; state: string; agentVersion: string; versionSkew: string }

class Upgrades {
  readonly fleet: Fleet
  readonly #bundle: string

  constructor(fleet: Fleet, bundle: string) {
    this.fleet = fleet
    this.#bundle = bundle
  }
  push(version: string, fault?: Parameters<typeof makeAgentImage>[2]): Promise<string> {
    return this.fleet.registry.push('agent', version, makeAgentImage(this.#bundle, version, fault))
  }
  run(version: string, ...args: string[]) {
    const to = ['--to', `${this.fleet.registry.name}/agent:${version}`]
    return this.fleet.controller.cliJson<DeployDocument & { warnings: string[] }>(
      'agents',
      'upgrade',
      '--env',
      'test',
      ...to,
      ...args
    )
  }
  async versions(): Promise<string[]> {
    const { document } = await this.fleet.controller.cliJson<AgentRow[]>('agents')
    return document.map(({ name, state, agentVersion }) => `${name} ${state} ${agentVersion}`)
  }
  waitFor(...versions: string[]): Promise<unknown> {
    const wanted = this.fleet.hosts.map(({ name }, at) => `${name} connected ${versions[at]}`)
    return waitUntil(
      `the agents to be ${versions.join(', ')}`,
      async () =>
        wanted.every((one, at) => one === wanted[at]) && (await this.versions()).join() === wanted.join()
    )
  }
}

/** As a supervisor: whenever it has ended, it is started again. @returns how often that was, once it serves */
const superviseUntil = async (host: FleetHost, isDone: () => Promise<boolean>): Promise<number> => {
  let starts = 0
  await waitUntil(`${host.name} to serve again`, async () => {
    if (!host.agent.process.isRunning) {
      starts += 1
      await host.agent.start()
    }
    return isDone()
  })
  return starts
}

const placementOf = (host: FleetHost) =>
  JSON.parse(readFileSync(join(host.agent.dataFolder, 'versions/placement.json'), 'utf8')) as {
    serving: { image: string } | null
    trial: object | null
  }

const upgradeAll = async (t: Test, upgrades: Upgrades): Promise<void> => {
  const { fleet } = upgrades
  const digest = await upgrades.push('0.2.0')
  const pids = fleet.hosts.map(({ agent }) => agent.process.pid)
  const { exitCode, document } = await upgrades.run('0.2.0')
  t.match(
    { exitCode, document },
    { exitCode: 0, document: { outcome: 'succeeded', digest } },
    document.reason ?? ''
  )
  t.same(
    document.targets.map(({ state, batch }: { state: string; batch?: number }) => `${state} ${batch}`),
    ['released 1', 'released 2'],
    'one after the other'
  )
  t.match(document.warnings, [/its agent was 0\.1\.0 and is 0\.2\.0/])
  await upgrades.waitFor('0.2.0', '0.2.0')
  t.same(
    fleet.hosts.map(({ agent }) => agent.process.pid),
    pids,
    'whoever supervises them sees the same processes'
  )
  t.match(placementOf(fleet.hosts[0] as FleetHost), { serving: { image: digest }, trial: null })
}

const stayAsTheyAre = async (t: Test, upgrades: Upgrades): Promise<void> => {
  await upgrades.push('0.2.1', 'ends at once')
  const { exitCode, document } = await upgrades.run('0.2.1')
  t.match({ exitCode, document }, { exitCode: 4, document: { outcome: 'refused' } })
  t.match(document.targets, [
    { state: 'failed', code: 'upgrade-failed', reason: /cannot serve: no such thing/ },
    { state: 'untouched' }
  ])
  await upgrades.waitFor('0.2.0', '0.2.0')
}

const comeBack = async (t: Test, upgrades: Upgrades): Promise<void> => {
  const [first] = upgrades.fleet.hosts
  if (first === undefined) throw new RangeError('a fleet without hosts')
  await upgrades.push('0.2.2', 'dies in its place')
  const asked = upgrades.run('0.2.2', '--host', first.name)
  let hasEnded = false
  void asked.finally(() => {
    hasEnded = true
  })
  const starts = await superviseUntil(first, async () => hasEnded)
  t.equal(starts, 3, 'it is begun with three times, and then the former one goes on')
  const { exitCode, document } = await asked
  t.match({ exitCode, document }, { exitCode: 4, document: { outcome: 'refused' } })
  t.match(document.targets, [
    { code: 'upgrade-failed', reason: /ended 3 times before the controller had heard it/ }
  ])
  await upgrades.waitFor('0.2.0', '0.2.0')
}

const outlive = async (t: Test, upgrades: Upgrades): Promise<void> => {
  const [first] = upgrades.fleet.hosts
  if (first === undefined) throw new RangeError('a fleet without hosts')
  await first.agent.kill()
  await first.agent.start()
  await upgrades.waitFor('0.2.0', '0.2.0')
  t.pass('the installed program gives the place to the one that serves')
}

testOnRealParts(t, 'agents become another version, or stay what they are and say why', async (t) => {
  const folder = makeTestFolder(t)
  await bundlePrograms(folder)
  const programs = bundledPrograms(folder)
  const fleet = await startFleet(t, 2, { programs })
  const upgrades = new Upgrades(fleet, programs.agent)
  await t.test('one after the other, in place', (t) => upgradeAll(t, upgrades))
  await t.test('the first that cannot serve ends it', (t) => stayAsTheyAre(t, upgrades))
  await t.test('one that dies in its place is given up', (t) => comeBack(t, upgrades))
  await t.test('and a kill changes nothing', (t) => outlive(t, upgrades))
})
