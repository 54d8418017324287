// What people do to containers on the hosts, and what the controller does about it by itself; and a service that
// leaves a host. Real engines and agents, looked at through Docker and over HTTP.
import t from 'tap'
import type { StatusView } from '../../packages/controller/src/api/schemas.ts'
import type { Host } from '../support/engine.ts'
import { type Fleet, startFleet } from '../support/fleet.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type Listed = { Id: string; Names: string[] }

const containersOf = (host: Host): Promise<Listed[]> =>
  host.engine.client.get<Listed[]>('/containers/json?all=1')

const theOnly = async (host: Host): Promise<string> => {
  const [one, ...others] = await containersOf(host)
  if (one === undefined || others.length > 0) throw new Error(`${host.name} does not have one container`)
  return one.Id
}

const statusOf = async (fleet: Fleet, host: Host): Promise<StatusView['hosts'][number] | undefined> => {
  const { document } = await fleet.controller.cliJson<StatusView[]>('status', 'web')
  return document[0]?.hosts.find((one) => one.host === host.name)
}
const waitForDrift = (fleet: Fleet, host: Host, kind: string | undefined): Promise<true> =>
  waitUntil(`the drift of ${host.name} to be ${kind}`, async () => {
    const status = await statusOf(fleet, host)
    return status?.driftKind === kind && (kind !== undefined || status?.state === 'running')
  })

testOnRealParts(t, 'what was changed by hand is shown, and repaired where that is wanted', async (t) => {
  const fleet = await startFleet(t, 2, {
    agentOf: async (host) => ({ env: { LONGSHORE_LABELS: `host=${host.name}` } })
  })
  const [first, second] = fleet.hosts
  if (first === undefined || second === undefined) throw new Error('two hosts were asked for')
  await fleet.apply()
  await fleet.push('v1')
  t.equal((await fleet.deploy('v1')).exitCode, 0)

  await t.test('a container that was removed comes back', async (t) => {
    const former = await theOnly(first)
    await first.engine.client.delete(`/containers/${former}?force=1`)
    await waitUntil('v1 to answer again', async () => (await fleet.pages())[0] === 'v1')
    t.not(await theOnly(first), former)
    await waitForDrift(fleet, first, undefined)
  })

  await t.test('one that was changed or stopped is shown, until healing is on', async (t) => {
    const changed = await theOnly(first)
    const memory = { Memory: 64_000_000, MemorySwap: 64_000_000 }
    await first.engine.client.post(`/containers/${changed}/update`, memory)
    await waitForDrift(fleet, first, 'changed')
    t.match((await statusOf(fleet, first))?.drift, /memory/)
    const stopped = await theOnly(second)
    await second.engine.client.post(`/containers/${stopped}/stop?t=0`)
    await waitForDrift(fleet, second, 'changed')
    t.match((await statusOf(fleet, second))?.drift, /is stopped/)
    t.equal(await theOnly(first), changed)
    t.equal(await theOnly(second), stopped)

    t.equal((await fleet.controller.cli('environments', 'set', 'test', '--heal', 'on')).exitCode, 0)
    await waitForDrift(fleet, first, undefined)
    await waitForDrift(fleet, second, undefined)
    t.strictSame(await fleet.pages(), ['v1', 'v1'])
    await waitUntil('the changed container to be gone', async () => {
      const left = await containersOf(first)
      return left.length === 1 && left[0]?.Id !== changed
    })
  })

  await t.test('a service leaves the host that its placement does not name any more', async (t) => {
    const placement = { constraints: [`node.labels.host == ${second.name}`] }
    await fleet.apply({ deploy: { placement, update_config: { monitor: '500ms' } } })
    const { exitCode, document } = await fleet.deploy('v1')
    t.match(
      { exitCode, hosts: document.targets.map(({ host }) => host) },
      { exitCode: 0, hosts: [second.name] }
    )
    await waitUntil('the container to leave', async () => (await containersOf(first)).length === 0)
    t.strictSame(await fleet.pages(), [null, 'v1'])
  })
})
