// Hosts that were lost, left out, never seen before or changed by hand come to the current release by themselves, and
// what succeeded in one environment is promoted to another one. Nobody gives a command in between.
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import type { AgentView } from '../../packages/controller/src/api/schemas.ts'
import { bootMachine, type Node } from '../support/chef/machine.ts'
import { type FaultHost, hostOf, realPartsOptions, startFaultFleet } from '../support/e2e-fault-fleet.ts'
import { Story, serviceOf } from '../support/e2e-fleet-story.ts'
import { detailsOf, disconnect, holdSwitch, pageOf, pagesOf } from '../support/e2e-fleet-story-looks.ts'
import type { Host } from '../support/engine.ts'
import type { RunningProcess } from '../support/processes.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const deploy = (tag: string, environment = 'test') => ['deploy', 'web', '--env', environment, '--tag', tag]

/** What runs there, as Docker tells it. */
const imageOn = async (host: FaultHost): Promise<string | undefined> =>
  (await detailsOf(host, 'web')).find(({ State }) => State.Running)?.Config.Image

const promote = async (t: Test, story: Story, hosts: { from: FaultHost; to: FaultHost }, tag: string) => {
  const promoted = await story.expect(
    t,
    'succeeded',
    'promote',
    'web',
    '--from',
    'test',
    '--to',
    'production'
  )
  t.match(promoted, { environment: 'production', tag })
  t.equal(await pageOf(hosts.to), tag)
  t.equal(await imageOn(hosts.to), await imageOn(hosts.from), 'the same digest runs on both')
  t.match(await imageOn(hosts.to), new RegExp(`@${promoted.digest}$`))
}

const refuseAnyImage = async (t: Test, story: Story, host: FaultHost, tag: string): Promise<void> => {
  const page = await pageOf(host)
  t.match(await story.tell(...deploy(tag, 'production')), {
    exitCode: 4,
    document: { outcome: 'refused', id: null, code: 'promotion-required' }
  })
  t.equal(await pageOf(host), page)
}

/** Until the host answers this and nothing is said to differ; returns how long that took, ms. */
const waitForReturn = async (story: Story, host: FaultHost, tag: string): Promise<number> => {
  const beginMs = performance.now()
  await waitUntil(`${host.name} to serve ${tag}`, async () => (await pageOf(host)) === tag, {
    deadlineMs: 90_000
  })
  const tookMs = performance.now() - beginMs
  await story.waitForNoDrift('test', 'web')
  return tookMs
}

/** Until the deployment that the controller began for this host alone has succeeded. */
const waitForConvergence = (story: Story, { name }: FaultHost): Promise<boolean> =>
  waitUntil(`${name} to have converged`, async () =>
    (await story.deployments()).some(
      ({ mode, requestedBy, outcome, targets }) =>
        mode === 'converge' &&
        requestedBy === 'convergence' &&
        outcome === 'succeeded' &&
        targets.length === 1 &&
        targets[0]?.host === name
    )
  )

/** What Chef knows of the machine; its token is for one machine, whose name it may take. */
const nodeOf = async (story: Story, host: Host): Promise<Node> => {
  const { controller, program, registry } = story.fleet
  const agent = {
    controller_url: controller.url,
    join_token: await story.done('join-token', 'create', '--env', 'test', '--uses', '1', '--replace'),
    host_name: host.name,
    program_url: `file://${join(dirname(program), 'agent.mjs')}`,
    policy: { repositories: [`${registry.name}/*`] },
    settings: { LONGSHORE_ALLOW_PLAINTEXT: '1' }
  }
  return { attributes: { longshore: { agent } }, roles: ['web'] }
}

/** A bare machine on the host: the cookbook is all that is done to it. Returns the agent that its unit started. */
const provision = async (t: Test, story: Story, host: Host, tag: string) => {
  const machine = await bootMachine(t, host)
  const node = await nodeOf(story, host)
  const started: { agent?: RunningProcess; atMs: number } = { atMs: 0 }
  const run = await machine.converge(node, async () => {
    started.atMs = performance.now()
    started.agent = await machine.startAgent()
  })
  t.equal(
    run.error,
    null,
    `the run saw that the host was registered; its agent said ${started.agent?.output}`
  )
  t.notMatch(await machine.run('ls', '/etc/longshore'), 'join.token', 'the token is gone')
  await waitUntil(`${host.name} to serve ${tag}`, async () => (await pageOf(host)) === tag)
  await story.waitForNoDrift('test', 'web')
  t.comment(
    `on the current release ${Math.round(performance.now() - started.atMs)} ms after its unit was started`
  )
  t.same((await machine.converge(node)).updated, [], 'a second run changes nothing')
  return { machine, node, agent: started.agent }
}

const agentsOf = async (story: Story, { name }: Host) =>
  (await story.ask<AgentView[]>('/v1/agents')).filter((one) => one.name === name && one.state !== 'revoked')

const provisionByChef = async (t: Test, story: Story, host: Host, tag: string): Promise<void> => {
  const image = `/images/create?fromImage=${story.fleet.registry.name}/web&tag=${tag}`
  await host.engine.client.postRaw(image, Buffer.alloc(0), 'application/json')
  const first = await provision(t, story, host, tag)
  const [former, ...others] = await agentsOf(story, host)
  t.match(former, {
    environment: 'test',
    state: 'connected',
    labels: { 'role.web': 'true' },
    policy: { state: 'active' }
  })
  t.same(others, [])

  // the machine is set up anew: nothing of /etc and /var/lib is left
  await first.agent?.stop()
  const { machine, node, agent } = await provision(t, story, host, tag)
  const [current, ...more] = await agentsOf(story, host)
  t.match(current, { state: 'connected' })
  t.not(current?.id, former?.id, 'another key, another agent')
  t.same(more, [])

  t.match(
    await machine.converge({ ...node, action: 'deregister' }),
    { error: /deregister failed/ },
    'it runs'
  )
  t.equal((await agentsOf(story, host)).length, 1)
  await agent?.stop()
  t.equal((await machine.converge({ ...node, action: 'deregister' })).error, null)
  t.same(await agentsOf(story, host), [], 'the controller has forgotten it')
  t.equal(await pageOf(host), tag, 'its containers are left to whoever switches it off')
  const left = await machine.run(
    'find',
    '/etc/longshore',
    '/var/lib/longshore-agent',
    '-maxdepth',
    '1',
    '-type',
    'f'
  )
  t.equal(left, '/etc/longshore/policy.yaml\n/var/lib/longshore-agent/agent.lock\n', 'no key, no journal')
  t.same((await machine.converge({ ...node, action: 'deregister' })).updated, [])
}

const onlyContainer = async (host: FaultHost): Promise<string> => {
  const [one, ...others] = await detailsOf(host, 'web')
  if (one === undefined || others.length > 0) throw new Error(`${host.name} does not have one container`)
  return one.Id
}

/** Until the status shows that the host's container was changed; returns what it says about it. */
const waitForChange = (story: Story, { name }: FaultHost): Promise<string> =>
  waitUntil(`the change on ${name} to be shown`, async () => {
    const { hosts } = await story.status('test', 'web')
    const seen = hosts.find(({ host }) => host === name)
    return seen?.driftKind === 'changed' && (seen.drift ?? '')
  })

const changeByHand = async (t: Test, story: Story, hosts: { changed: FaultHost; stopped: FaultHost }) => {
  const [changed, stopped] = [await onlyContainer(hosts.changed), await onlyContainer(hosts.stopped)]
  const memory = { Memory: 64_000_000, MemorySwap: 64_000_000 }
  await hosts.changed.engine.client.post(`/containers/${changed}/update`, memory)
  await hosts.stopped.engine.client.post(`/containers/${stopped}/stop?t=0`)
  t.match(await waitForChange(story, hosts.changed), /memory/)
  t.match(await waitForChange(story, hosts.stopped), /is stopped/)
  t.equal(await onlyContainer(hosts.changed), changed)
  t.equal(await onlyContainer(hosts.stopped), stopped)
  t.equal(await pageOf(hosts.stopped), null, 'nobody started it again')

  await story.done('environments', 'set', 'test', '--heal', 'on')
  await story.waitForNoDrift('test', 'web')
  t.strictSame(await pagesOf([hosts.changed, hosts.stopped]), ['v3', 'v3'])
  await waitUntil('the changed container to be gone', async () => {
    const left = await detailsOf(hosts.changed, 'web')
    return left.length === 1 && left[0]?.Id !== changed
  })
}

testOnRealParts(
  t,
  'hosts that return or join serve the current release without anybody asking',
  async (t) => {
    const fleet = await startFaultFleet(t, 2, { controllerArgs: ['--lost-after', '5s'], spares: 3 })
    const story = new Story(t, fleet)
    const [staying, lost] = [hostOf(fleet, 1), hostOf(fleet, 2)]
    const [joining, other, bare] = fleet.spares
    if (joining === undefined || other === undefined || bare === undefined)
      throw new Error('three spare hosts were asked for')
    await story.done('environments', 'create', 'production')
    const production = await fleet.join(other, 'production')
    const web = serviceOf(fleet.registry.name, 'web', 80)
    for (const environment of ['test', 'production']) await story.apply(environment, { web })
    for (const tag of ['v1', 'v2', 'v3']) await fleet.push(tag)
    await story.expect(t, 'succeeded', ...deploy('v1'))
    t.strictSame(await pagesOf(fleet.hosts), ['v1', 'v1'])

    const reached = holdSwitch(lost)
    const waiting = await fleet.start(...deploy('v2'))
    const held = await waiting.meanwhile(reached)
    await disconnect(lost)
    held.open()

    await t.test('meanwhile the current release is promoted, and nothing else is let in', async (t) => {
      await story.done('environments', 'set', 'production', '--promotes-from', 'test')
      await refuseAnyImage(t, story, production, 'v1')
      const { document } = await story.tell('promote', 'web', '--from', 'test', '--to', 'production')
      t.match(document, { outcome: 'succeeded', tag: 'v1' }, 'v2 has not succeeded yet')
      t.equal(await pageOf(production), 'v1')
    })
    await t.test('a host that is cut off makes the outcome mixed, and it is called unknown', async (t) => {
      const { exitCode, document, output } = await waiting.end()
      t.match(
        { exitCode, document },
        { exitCode: 5, document: { outcome: 'mixed', reason: /host2/ } },
        output
      )
      t.match(document.targets, [{ state: 'reverted' }, { state: 'unknown', serving: 'unknown' }])
      t.equal(await pageOf(staying), 'v1')
    })
    await t.test('a deployment may leave it out', async (t) => {
      t.equal((await story.tell(...deploy('v3'))).exitCode, 4, 'refused while a host is away')
      const skipped = await story.expect(t, 'succeeded', ...deploy('v3'), '--offline', 'skip')
      t.match(skipped.targets, [{ state: 'released' }, { state: 'skipped' }])
      t.equal(await pageOf(staying), 'v3')
      await promote(t, story, { from: staying, to: production }, 'v3')
      await refuseAnyImage(t, story, production, 'v2')
    })
    await t.test('it comes to the current release when it is back', async (t) => {
      const latest = (await story.deployments())[0]?.id
      await lost.mend()
      const tookMs = await waitForReturn(story, lost, 'v3')
      t.comment(`back on the current release ${Math.round(tookMs)} ms after its cable was put back`)
      t.ok(await waitForConvergence(story, lost))
      t.strictSame(await pagesOf(fleet.hosts), ['v3', 'v3'])
      t.equal(await imageOn(lost), await imageOn(staying))
      const since = await story.deployments()
      const others = since
        .slice(
          0,
          since.findIndex(({ id }) => id === latest)
        )
        .filter(({ mode }) => mode !== 'converge')
      t.strictSame(others, [], 'nobody asked for it')
    })
    await t.test('a host that joins serves it too', async (t) => {
      const host = await fleet.join(joining, 'test')
      const tookMs = await waitForReturn(story, host, 'v3')
      t.comment(`serves the current release ${Math.round(tookMs)} ms after its agent was started`)
      t.ok(await waitForConvergence(story, host))
      t.equal(await imageOn(host), await imageOn(staying))
      const [id] = await detailsOf(host)
      t.match(id, { Name: '/web-r3-0' })
    })
    await t.test(
      'a bare machine that Chef set up serves it too, again when it is set up anew, and leaves',
      (t) => provisionByChef(t, story, bare, 'v3')
    )
    await t.test('a container that somebody removed comes back', async (t) => {
      const removed = await onlyContainer(lost)
      await lost.engine.client.delete(`/containers/${removed}?force=1`)
      const tookMs = await waitForReturn(story, lost, 'v3')
      t.comment(`back ${Math.round(tookMs)} ms after it was removed`)
      t.not(await onlyContainer(lost), removed)
    })
    await t.test('one that was changed or stopped by hand is shown, until healing is on', (t) =>
      changeByHand(t, story, { changed: staying, stopped: lost })
    )
    await t.test('a service leaves the hosts that its placement does not name any more', async (t) => {
      const placement = { constraints: [`node.labels.host == ${lost.name}`] }
      await story.apply('test', { web: serviceOf(fleet.registry.name, 'web', 80, { deploy: { placement } }) })
      const { targets } = await story.expect(t, 'succeeded', ...deploy('v3'))
      t.match(targets, [{ host: lost.name }])
      t.equal(targets.length, 1)
      const left = [staying, joining]
      await waitUntil('the containers to leave', async () =>
        (await Promise.all(left.map((host) => detailsOf(host, 'web')))).every(({ length }) => length === 0)
      )
      t.strictSame(await pagesOf([...left, lost]), [null, null, 'v3'])
    })
  },
  realPartsOptions
)
