// Agents that become another version of themselves, on real parts: two hosts, a registry, and bundles as processes that
// are started again as a supervisor does it.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bundlePrograms } from '../../scripts/bundle.ts'
import { bundledPrograms } from '../../scripts/hosts/programs.ts'
import { makeAgentImage } from '../support/agent-image.ts'
import { type DeployDocument, type Fleet, type FleetHost, startFleet } from '../support/fleet.ts'
import { startBoxedAgent } from '../support/load/boxed-agent.ts'
import { startUnitAgent } from '../support/load/unit-agent.ts'
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
    const ask = ['agents', 'upgrade', ...(args.includes('--env') ? [] : ['--env', 'test'])]
    return this.fleet.controller.cliJson<DeployDocument & { warnings: string[] }>(...ask, ...to, ...args)
  }
  async versions(environment = 'test'): Promise<string[]> {
    const { document } = await this.fleet.controller.cliJson<AgentRow[]>('agents', '--env', environment)
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

const firstOf = ({ fleet }: Upgrades): FleetHost => {
  const [first] = fleet.hosts
  if (first === undefined) throw new RangeError('a fleet without hosts')
  return first
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
  t.match(placementOf(firstOf(upgrades)), { serving: { image: digest }, trial: null })
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
  const first = firstOf(upgrades)
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

const finishAfterKills = async (t: Test, upgrades: Upgrades): Promise<void> => {
  const first = firstOf(upgrades)
  const { controller } = upgrades.fleet
  const digest = await upgrades.push('0.3.0', 'kills who tries it once')
  const asked = upgrades.run('0.3.0', '--parallelism', '2')
  await waitUntil('the agent to die', async () => !first.agent.process.isRunning)
  await controller.kill()
  await first.agent.start()
  await controller.start()
  let hasEnded = false
  void asked.finally(() => {
    hasEnded = true
  })
  await Promise.all(upgrades.fleet.hosts.map((host) => superviseUntil(host, async () => hasEnded)))
  const { exitCode, document, stderr } = await asked
  t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded', digest } }, stderr)
  await upgrades.waitFor('0.3.0', '0.3.0')
}

/** The same image for an agent in a container of its host's engine, and for one that systemd runs. */
const upgradeKept = async (t: Test, upgrades: Upgrades, programs: string): Promise<void> => {
  const { controller, spares } = upgrades.fleet
  const [boxHost, unitHost] = spares
  if (boxHost === undefined || unitHost === undefined)
    throw new RangeError('two hosts without agents are needed')
  await controller.cli('environments', 'create', 'kept')
  const partsFor = async () => {
    const { stdout } = await controller.cli('join-token', 'create', '--env', 'kept')
    const [folder, dataFolder] = [makeTestFolder(t), makeTestFolder(t)]
    const joinToken = stdout.trim()
    return {
      program: join(programs, 'agent.mjs'),
      programs,
      folder,
      dataFolder,
      controllerUrl: controller.url,
      joinToken
    }
  }
  await startBoxedAgent(boxHost, { ...(await partsFor()), env: {} })
  const unit = await startUnitAgent(unitHost, await partsFor())
  t.teardown(() => unit.end())
  const names = [boxHost.name, unitHost.name]
  const becomes = (version: string) =>
    waitUntil(`both to be ${version}`, async () => {
      const wanted = names.map((name) => `${name} connected ${version}`)
      return (await upgrades.versions('kept')).join() === wanted.join()
    })
  await becomes('0.1.0')
  const { exitCode, document } = await upgrades.run('0.2.0', '--env', 'kept', '--parallelism', '2')
  t.match({ exitCode, document }, { exitCode: 0, document: { outcome: 'succeeded' } }, document.reason ?? '')
  await becomes('0.2.0')
  const { State } = await boxHost.engine.client.get<{ State: { Running: boolean } }>('/containers/agent/json')
  t.match(State, { Running: true }, 'the container runs on')
  const shown = await unit.inside('systemctl', 'show', 'longshore-agent.service')
  t.match(shown, /^NRestarts=0$/m, 'systemd sees the process that it started')
  t.match(shown, /^ActiveState=active$/m)
  await unit.kill()
  await becomes('0.2.0')
}

const outlive = async (t: Test, upgrades: Upgrades): Promise<void> => {
  const first = firstOf(upgrades)
  await first.agent.kill()
  await first.agent.start()
  await upgrades.waitFor('0.2.0', '0.2.0')
  t.pass('the installed program gives the place to the one that serves')
}

testOnRealParts(t, 'agents become another version, or stay what they are and say why', async (t) => {
  const folder = makeTestFolder(t)
  await bundlePrograms(folder)
  const programs = bundledPrograms(folder)
  const fleet = await startFleet(t, 2, { programs, spares: 2 })
  const upgrades = new Upgrades(fleet, programs.agent)
  await t.test('one after the other, in place', (t) => upgradeAll(t, upgrades))
  await t.test('the first that cannot serve ends it', (t) => stayAsTheyAre(t, upgrades))
  await t.test('one that dies in its place is given up', (t) => comeBack(t, upgrades))
  await t.test('and a kill changes nothing', (t) => outlive(t, upgrades))
  await t.test('kills of agent and controller in the middle change nothing either', (t) =>
    finishAfterKills(t, upgrades)
  )
  await t.test('in a container and under systemd likewise', (t) => upgradeKept(t, upgrades, folder))
})
