// The page for operators in Chromium over three real engines: what it says of a host is compared with what Docker runs
// there, while deployments go and are cancelled, agents die, a cable is cut and the controller is killed.
import { dirname, join } from 'node:path'
import { limits } from '@longshore/protocol'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { AgentView, StreamEvent } from '../../packages/controller/src/api/schemas.ts'
import { hostStateOf } from '../../packages/dashboard/src/core/arrange-hosts.ts'
import { type AskApi, askApi } from '../support/ask-api.ts'
import {
  containersOf,
  type FaultFleet,
  hostOf,
  realPartsOptions,
  startFaultFleet
} from '../support/e2e-fault-fleet.ts'
import { playScenes, Story, serviceOf } from '../support/e2e-fleet-story.ts'
import { acceptOn, expectPages, refuseOn } from '../support/e2e-fleet-story-looks.ts'
import { webPort } from '../support/images.ts'
import { openPageBrowser, type PageBrowser, signIn } from '../support/page-browser.ts'
import { startTestAgent } from '../support/processes.ts'
import { openEventStream } from '../support/read-events.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

/** A timer may come late on a machine that is busy. */
const lateMs = 5000

type Scenery = PageBrowser & {
  fleet: FaultFleet
  ask: AskApi
  /** What the controller has told of hosts so far. */
  told: readonly Told[]
  edge: Awaited<ReturnType<typeof cutEdge>>
}

const goTo = async (page: Page, name: string): Promise<void> => {
  await page.getByRole('link', { name, exact: true }).click()
  await page.getByRole('heading', { name, level: 1 }).waitFor()
}
/** The host in the list of hosts, or in a deployment: in one of these states, once it is. */
const hostLine = (page: Page, name: string, state: string) =>
  page
    .getByRole('listitem')
    .filter({ has: page.getByRole('link', { name, exact: true }) })
    .filter({ has: page.getByText(state, { exact: true }) })
const expectShown = async (page: Page, states: Record<string, string>): Promise<void> => {
  for (const [name, state] of Object.entries(states)) {
    await hostLine(page, name, state)
      .waitFor()
      .catch(async (cause: unknown) => {
        const shown = await page.locator('main').innerText()
        throw new Error(`${name} is not shown ${state}:\n${shown}`, { cause })
      })
  }
}

const runningReleases = async ({ hosts }: FaultFleet): Promise<number[][]> => {
  const all = await Promise.all(hosts.map(containersOf))
  return all.map((one) => one.flatMap(({ isRunning, release }) => (isRunning ? [release] : [])))
}

const deploy = ({ ask }: Scenery, tag: string) =>
  ask<{ id: string }>('POST', '/v1/deployments', {
    service: 'web',
    environment: 'test',
    what: { by: 'tag', tag }
  })
const openDeployment = async (scenery: Scenery, tag: string): Promise<void> => {
  const { page, fleet } = scenery
  const { id } = await deploy(scenery, tag)
  await page.goto(`${fleet.controller.url}/#/deployments/${id}`)
}

const watchDeployment = async (t: Test, scenery: Scenery): Promise<void> => {
  const { page, fleet } = scenery
  const names = fleet.hosts.map(({ name }) => name)
  for (const host of fleet.hosts) await refuseOn(host, 'web', 'v2')
  await openDeployment(scenery, 'v2')
  for (const [index, host] of fleet.hosts.entries()) {
    const stateOf = (at: number) => (at < index ? 'released' : at === index ? 'releasing' : 'ready')
    await expectShown(page, Object.fromEntries(names.map((name, at) => [name, stateOf(at)])))
    await hostLine(page, host.name, 'releasing').getByText('the health check says starting').waitFor()
    await page.getByRole('heading', { name: `Batch ${index + 1} (switches now)` }).waitFor()
    t.same(
      await runningReleases(fleet),
      names.map((_, at) => [at <= index ? 2 : 1]),
      `Docker runs what the page says while ${host.name} switches`
    )
    await acceptOn(host, 'web', 'v2')
  }
  await expectShown(page, Object.fromEntries(names.map((name) => [name, 'released'])))
  await page.locator('main').getByText('succeeded', { exact: true }).waitFor()
  t.equal(await page.getByText('serves new (r2)').count(), 3)
  await expectPages(t, fleet.hosts, 'v2')
}

const cancelDeployment = async (t: Test, scenery: Scenery): Promise<void> => {
  const { page, fleet } = scenery
  await refuseOn(hostOf(fleet, 2), 'web', 'v3')
  await openDeployment(scenery, 'v3')
  await expectShown(page, { host1: 'released', host2: 'releasing', host3: 'ready' })
  await hostLine(page, 'host2', 'releasing').getByText('the health check says starting').waitFor()
  t.same(await runningReleases(fleet), [[3], [3], [2]])
  await page.getByRole('button', { name: 'Cancel deployment' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel deployment' }).click()
  await page.locator('main').getByText('cancelled', { exact: true }).first().waitFor()
  await expectShown(page, { host1: 'reverted', host2: 'reverted', host3: 'untouched' })
  t.equal(await page.getByText(/serves old/).count(), 3)
  t.same(await runningReleases(fleet), [[2], [2], [2]])
  await expectPages(t, fleet.hosts, 'v2')
}

/** Serves the page, and writes a line in each second. */
const counting = [
  '/bin/sh',
  '-c',
  [
    'trap "exit 0" TERM',
    `/bin/busybox httpd -p ${webPort} -h /www`,
    'n=0',
    'while :; do n=$$((n+1)); echo "count $$n"; /bin/busybox sleep 1 & wait; done'
  ].join('; ')
]

/** Its health check goes on saying `starting` while a version is refused, and neither fails nor gives up. */
const patientWeb = ({ registry }: FaultFleet): object => {
  const service = serviceOf(registry.name, 'web', 80) as { healthcheck: object }
  return { ...service, command: counting, healthcheck: { ...service.healthcheck, start_period: '10m' } }
}

/** While nobody looks, a container is stopped by hand. */
const loseController = async (t: Test, { page, fleet }: Scenery): Promise<void> => {
  await goTo(page, 'Fleet')
  await fleet.controller.kill()
  await page.getByRole('status').getByText('The controller was heard last').waitFor()
  await page.getByText('connection lost', { exact: true }).waitFor()
  t.equal(await page.locator('main.stale').count(), 1)
  const { engine } = hostOf(fleet, 1)
  const [container] = await containersOf(hostOf(fleet, 1))
  await engine.client.post(`/containers/${container?.id}/stop?t=1`)
  await fleet.controller.start()
  await page.getByText('live', { exact: true }).waitFor()
  await page.getByText('The controller was heard last').waitFor({ state: 'detached' })
  t.equal(await page.locator('main.stale').count(), 0)
  // not edge-1: an agent whose sessions were short waits longer before it tries again
  await expectShown(page, { host1: 'connected', host2: 'connected', host3: 'connected' })
  const cells = page
    .getByRole('region', { name: 'Services of test' })
    .getByRole('row')
    .nth(1)
    .getByRole('cell')
  for (const [at, state] of ['stopped', 'running', 'running'].entries())
    await cells
      .nth(at + 1)
      .getByText(state, { exact: true })
      .waitFor()
  await engine.client.post(`/containers/${container?.id}/start`)
  await cells.nth(1).getByText('running', { exact: true }).waitFor()
}

type Told = Extract<StreamEvent, { type: 'agent' }>

/** What the controller tells of hosts from now on. */
const hearAgents = async ({ url, token }: FaultFleet['controller']): Promise<Told[]> => {
  const { events } = await openEventStream(`${url}/v1/events`, token)
  const told: Told[] = []
  const read = async (): Promise<void> => {
    for await (const event of events) if (event.type === 'agent') told.push(event as unknown as Told)
  }
  // ends with the controller
  read().catch(() => undefined)
  return told
}
const waitForSilence = ({ told }: Scenery, name: string): Promise<Told> =>
  waitUntil(`${name} to be told silent`, async () =>
    told.find(({ agent }) => agent.name === name && hostStateOf(agent) === 'silent')
  )

/** A host without an engine, in an environment of its own. Its cable is cut as soon as it is connected. */
const cutEdge = async (t: Test, { fleet, ask, page }: Omit<Scenery, 'edge'>) => {
  const [host, { token }] = await Promise.all([
    fleet.network.addHost(),
    ask('POST', '/v1/environments', { name: 'edge' }).then(() =>
      ask<{ token: string }>('POST', '/v1/join-tokens', { environment: 'edge', labels: {} })
    )
  ])
  await startTestAgent(t, {
    name: 'edge-1',
    controllerUrl: fleet.controller.url,
    joinToken: token,
    dockerHost: 'unix:///nowhere.sock',
    enter: ['nsenter', `--net=/run/netns/${host.namespace}`],
    program: join(dirname(fleet.program), 'agent.mjs')
  })
  await hostLine(page, 'edge-1', 'connected').waitFor()
  await host.cut()
  return { ...host, cutAtMs: Date.now() }
}

const killAgent = async (t: Test, scenery: Scenery): Promise<void> => {
  const { page, fleet, look } = scenery
  const host = hostOf(fleet, 3)
  await goTo(page, 'Fleet')
  await host.agent.kill()
  await hostLine(page, host.name, 'silent').waitFor()
  const { at, agent } = await waitForSilence(scenery, host.name)
  t.ok(Date.parse(at) - (agent.lastSeenAtMs ?? 0) <= limits.silenceLimitMs)
  t.same(await runningReleases(fleet), [[2], [2], [2]], 'what it runs goes on')
  await look(t, 'fleet-silent')
}

/** A line with its time of day, to the millisecond: a container that was started again counts from the beginning. */
type Written = { time: string; text: string }
const lastWritten = async (host: FaultFleet['hosts'][number]): Promise<Written> => {
  const [running] = (await containersOf(host)).filter(({ isRunning }) => isRunning)
  const path = `/containers/${running?.id}/logs?stdout=1&tail=1&timestamps=1`
  const [, time, text] =
    /T(\d\d:\d\d:\d\d\.\d{3})\d*Z (count \d+)/.exec(await host.engine.client.getText(path)) ?? []
  if (time === undefined || text === undefined) throw new Error(`${host.name} has written nothing`)
  return { time, text }
}

/** From each host what Docker has last, and then more. */
const followLogs = async (t: Test, { page, fleet }: Scenery): Promise<void> => {
  await goTo(page, 'Fleet')
  await page.getByRole('region', { name: 'Services of test' }).getByRole('link', { name: 'web' }).click()
  await page.getByRole('link', { name: 'Logs of web in test', exact: true }).click()
  await page.getByText('3 of 3 hosts are read').waitFor()
  const isShown = (host: FaultFleet['hosts'][number], { time, text }: Written): Promise<void> =>
    page
      .locator('.log-line')
      .filter({ hasText: host.name })
      .filter({ hasText: `${time}Z` })
      .filter({ has: page.getByText(text, { exact: true }) })
      .waitFor()
  for (const host of fleet.hosts) {
    const first = await lastWritten(host)
    await isShown(host, first)
    const next = await waitUntil(`${host.name} writes more`, async () => {
      const last = await lastWritten(host)
      return last.text !== first.text && last
    })
    await isShown(host, next)
  }
  t.equal(await page.getByText('nothing can be read').count(), 0)
}

const loseCable = async (t: Test, scenery: Scenery): Promise<void> => {
  const { page, edge } = scenery
  await goTo(page, 'Fleet')
  const { at, agent } = await waitForSilence(scenery, 'edge-1')
  t.ok(Date.parse(at) - edge.cutAtMs <= limits.silenceLimitMs + lateMs, `${Date.parse(at) - edge.cutAtMs} ms`)
  t.ok(Date.parse(at) - (agent.lastSeenAtMs ?? 0) <= limits.silenceLimitMs + lateMs)
  await hostLine(page, 'edge-1', 'silent').waitFor()
  await edge.mend()
  await hostLine(page, 'edge-1', 'connected').waitFor()
}

/** Nothing of the former machine is left: no key of its agent, no container. */
const approveHost = async (t: Test, { page, fleet, ask }: Scenery): Promise<void> => {
  const host = hostOf(fleet, 3)
  for (const { id } of await containersOf(host)) await host.engine.client.delete(`/containers/${id}?force=1`)
  const former = (await ask<AgentView[]>('GET', '/v1/agents')).find(({ name }) => name === host.name)
  await goTo(page, 'Tokens and joins')
  await fleet.join(host, 'test')
  const held = page.getByRole('listitem').filter({ hasText: host.name })
  await held.getByRole('button', { name: 'Approve' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click()
  await held.waitFor({ state: 'detached' })
  await goTo(page, 'Fleet')
  await hostLine(page, host.name, 'connected').waitFor()
  await hostLine(page, host.name, 'revoked').waitFor()
  const cell = page
    .getByRole('region', { name: 'Services of test' })
    .getByRole('row')
    .nth(1)
    .getByRole('cell')
    .nth(3)
  await cell.getByText('running', { exact: true }).waitFor({ timeout: 60_000 })
  t.same((await runningReleases(fleet))[2], [2], 'Docker runs it again')
  const agents = await ask<AgentView[]>('GET', '/v1/agents')
  t.not(agents.find(({ name, state }) => name === host.name && state === 'connected')?.id, former?.id)
}

testOnRealParts(
  t,
  'the page says of three engines what Docker says',
  async (t) => {
    const fleet = await startFaultFleet(t, 3)
    const story = new Story(t, fleet)
    const ask = askApi(fleet.controller)
    await story.apply('test', { web: patientWeb(fleet) })
    for (const tag of ['v1', 'v2', 'v3']) await fleet.push(tag)
    const [browser] = await Promise.all([
      openPageBrowser(t),
      story.expect(t, 'succeeded', 'deploy', 'web', '--env', 'test', '--tag', 'v1')
    ])
    await signIn(browser.page, fleet.controller)
    const begun = { ...browser, fleet, ask, told: await hearAgents(fleet.controller) }
    const scenery: Scenery = { ...begun, edge: await cutEdge(t, begun) }
    await playScenes(t, story, {
      'a deployment is watched from host to host': (t) => watchDeployment(t, scenery),
      'another one is cancelled in the middle': (t) => cancelDeployment(t, scenery),
      'an agent that was killed is shown silent at once': (t) => killAgent(t, scenery),
      'its machine is set up anew, is held, approved and brought to the release': (t) =>
        approveHost(t, scenery),
      'logs are followed from all hosts': (t) => followLogs(t, scenery),
      'a host whose cable was cut is shown silent within the limit, and is back after it': (t) =>
        loseCable(t, scenery),
      'the controller is killed and comes back': (t) => loseController(t, scenery)
    })
    t.same(browser.complaints, [], 'no error and no violation of the policy was logged')
  },
  realPartsOptions
)
