// Hosts that were lost, left out or never seen before come to the current release by themselves, and what succeeded
// in one environment is promoted to another one. Nobody gives a command in between.
import t, { type Test } from 'tap'
import { type FaultHost, hostOf, realPartsOptions, startFaultFleet } from '../support/e2e-fault-fleet.ts'
import { detailsOf, holdSwitch, pageOf, pagesOf, Story, serviceOf } from '../support/e2e-fleet-story.ts'
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

testOnRealParts(
  t,
  'hosts that return or join serve the current release without anybody asking',
  async (t) => {
    const fleet = await startFaultFleet(t, 2, { controllerArgs: ['--lost-after', '5s'], spares: 2 })
    const story = new Story(t, fleet)
    const [staying, lost] = [hostOf(fleet, 1), hostOf(fleet, 2)]
    const [joining, other] = fleet.spares
    if (joining === undefined || other === undefined) throw new Error('two spare hosts were asked for')
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
    await lost.cut()
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
    await t.test('a container that somebody removed comes back', async (t) => {
      const [container] = await detailsOf(lost, 'web')
      await lost.engine.client.delete(`/containers/${container?.Id}?force=1`)
      const tookMs = await waitForReturn(story, lost, 'v3')
      t.comment(`back ${Math.round(tookMs)} ms after it was removed`)
      t.not((await detailsOf(lost, 'web'))[0]?.Id, container?.Id)
    })
  },
  realPartsOptions
)
