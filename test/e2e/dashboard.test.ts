// The page for operators in Chromium, against the controller's process from its bundle: each view, by mouse and by
// keyboard. Hosts answer without engines; what the page says of real ones is looked at in dashboard-engines.test.ts.
import { join } from 'node:path'
import { importVerifyKey, keyAnnouncement, readUnverified } from '@longshore/protocol'
import t from 'tap'
import { enrol, newMachine } from '../support/agent-client.ts'
import { askApi } from '../support/ask-api.ts'
import { builtPrograms } from '../support/built-programs.ts'
import { startCuttableRelay } from '../support/cuttable-relay.ts'
import { freePort } from '../support/haproxy.ts'
import { openPageBrowser } from '../support/page-browser.ts'
import { startPageHost } from '../support/page-hosts.ts'
import { heldBy } from '../support/page-memory.ts'
import { startTestController } from '../support/processes.ts'
import { specOf } from '../support/real-controller.ts'
import { makeTestFolder, testOnProgram } from '../support/real-parts.ts'
import { startSignInIssuer } from '../support/sign-in-issuer.ts'
import { waitUntil } from '../support/wait.ts'

testOnProgram(t, 'chromium', 'operators watch the fleet live', async (t) => {
  const folder = makeTestFolder(t)
  const { cli: program } = await builtPrograms(join(folder, 'out'))
  const controller = await startTestController(t, { address: '127.0.0.1', port: await freePort(), program })
  const { url, token } = controller
  const ask = askApi(controller)
  const trust = async () => {
    const { chain } = await ask<{ chain: [string] }>('GET', '/v1/keys')
    const { installation } = await ask<{ installation: string }>('GET', '/v1/info')
    const { key } = readUnverified('key', chain[0], keyAnnouncement)
    return { installation, key: await importVerifyKey(key) }
  }
  for (const name of ['staging', 'production']) await ask('POST', '/v1/environments', { name })
  const trusted = await trust()
  const joinTokenOf = async (environment: string, labels: object): Promise<string> =>
    (await ask<{ token: string }>('POST', '/v1/join-tokens', { environment, labels })).token
  const joinHost = async (name: string, environment = 'staging', labels = { zone: 'a' }) => {
    const host = await startPageHost(url, name, await joinTokenOf(environment, labels), trusted)
    t.teardown(() => host.client.socket.terminate())
    return host
  }
  const apply = (environment: string, more: object) =>
    ask('PUT', `/v1/environments/${environment}/services/web/spec`, {
      spec: specOf({ deploy: { update_config: { parallelism: 1 } }, ...more })
    })
  const deploy = (tag: string, environment = 'staging') =>
    ask<{ id: string }>('POST', '/v1/deployments', {
      service: 'web',
      environment,
      what: { by: 'tag', tag },
      build: `https://ci.example.com/job/web/${tag}/`
    })
  const deployed = async (tag: string, environment?: string): Promise<void> => {
    const { id } = await deploy(tag, environment)
    await waitUntil(`${tag} is deployed`, async () => {
      const { outcome } = await ask<{ outcome: string | null }>('GET', `/v1/deployments/${id}`)
      if (outcome !== null && outcome !== 'succeeded') throw new Error(`it ended as ${outcome}`)
      return outcome !== null
    })
  }

  const hosts = [await joinHost('web-1'), await joinHost('web-2', 'staging', { zone: 'b' })]
  await joinHost('shop-1', 'production')
  await apply('staging', { environment: { GREETING: 'hello', PASSWORD: 'hunter2' } })
  await apply('staging', { environment: { GREETING: 'hello', PASSWORD: 'hunter3' } })
  await apply('production', { environment: { GREETING: 'hello' } })
  await deployed('1.0')
  await deployed('1.0', 'production')
  const { page, complaints, look } = await openPageBrowser(t)
  const goTo = (name: string) => page.getByRole('link', { name, exact: true }).click()
  const heading = (name: string | RegExp) => page.getByRole('heading', { name, level: 1 }).waitFor()
  /** A gate at the hosts' next releases; each is opened by its own call. */
  const holdReleases = () =>
    hosts.map((host) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      host.waiting = undefined
      host.gate = { kind: 'release', opened: promise }
      return () => {
        host.gate = undefined
        resolve()
      }
    })

  await t.test(
    'people sign in with an issuer, may what their group may, and no longer than it may',
    async (t) => {
      const callback = `${url}/v1/sign-in/corp/callback`
      const issuer = await startSignInIssuer(t, [callback])
      issuer.people.set('ada', { email: 'ada@example.com', groups: ['staff', 'releases'] })
      const allow = ['read:*/*', 'deploy:production/*']
      await ask('PUT', '/v1/issuers/corp', {
        url: issuer.url,
        rules: [{ claims: { groups: 'releases' }, allow }],
        signIn: { ...issuer.client, scopes: ['groups'], pageUrl: url }
      })
      const signIn = page.getByRole('button', { name: 'Sign in with corp' })
      await page.goto(`${url}/#/deployments`)
      await signIn.click()
      await page.getByRole('link', { name: 'Cancel' }).click()
      await page
        .getByRole('alert')
        .filter({ hasText: 'corp did not let you in: it said access_denied' })
        .waitFor()
      await look(t, 'sign-in')
      await signIn.click()
      await page.getByPlaceholder('Enter any login').fill('ada')
      await page.getByPlaceholder('and password').fill('any')
      await page.keyboard.press('Enter')
      await page.getByRole('button', { name: 'Continue' }).click()
      await heading('Deployments')
      await page.getByText('oidc:corp/ada (ada@example.com)').waitFor()
      await page.getByText('live', { exact: true }).waitFor()
      await page
        .getByRole('link', { name: /deploy web r1/ })
        .last()
        .click()
      await page.getByRole('button', { name: 'Promote' }).waitFor()
      t.equal(await page.getByRole('button', { name: 'Roll back' }).count(), 0)
      await ask('DELETE', '/v1/issuers/corp')
      // the page may have noticed by itself already
      await page.reload()
      await page.getByLabel('API token').waitFor()
      t.equal(await signIn.count(), 0)
    }
  )

  await t.test('a token opens the page, and a wrong one says why it does not', async (t) => {
    await page.goto(url)
    await page.getByLabel('API token').fill('wrong')
    await page.keyboard.press('Enter')
    const alert = page.getByRole('alert').filter({ hasText: /./ })
    await alert.waitFor()
    t.match(await alert.textContent(), /not an API token/)
    await page.getByLabel('API token').fill(token)
    await page.keyboard.press('Enter')
    await heading('Fleet')
    await page.getByText('live', { exact: true }).waitFor()
  })

  await t.test('the fleet is shown as it is: a host comes and goes silent', async (t) => {
    const list = page.getByRole('region', { name: 'Hosts' })
    await list.getByRole('link', { name: 'web-1' }).waitFor()
    t.equal(await list.getByRole('listitem').count(), 5, 'three hosts and two headings')
    await page.getByRole('region', { name: 'Services of staging' }).getByText('running').first().waitFor()
    const guest = await joinHost('web-3', 'staging', { zone: 'c' })
    const line = list.getByRole('listitem').filter({ hasText: 'web-3' })
    await line.getByText('connected').waitFor()
    guest.client.socket.terminate()
    await line.getByText('silent').waitFor()
    await line.getByText(/seen (now|\d+ s ago)/).waitFor()
    await look(t, 'fleet')
    await page.getByLabel('Filter').fill('zone=b')
    await page.getByText('1 of 4 hosts').waitFor()
    t.equal(await list.getByRole('link').count(), 1)
    await page.getByLabel('Filter').fill('')

    await list.focus()
    await page.keyboard.press('End')
    await page.waitForFunction(`document.activeElement.textContent === 'web-3'`)
    await page.keyboard.press('ArrowUp')
    await page.waitForFunction(`document.activeElement.textContent === 'web-2'`)
    await page.keyboard.press('Enter')
    await heading('web-2')
    await page.getByRole('row').filter({ hasText: 'web-r1-0' }).getByText('healthy').waitFor()
    t.equal(await page.evaluate('document.activeElement.tagName'), 'MAIN', 'the focus arrives with the view')
    await look(t, 'host')
    await ask('DELETE', '/v1/agents/web-3')
  })

  await t.test('a deployment is watched from host to host', async (t) => {
    const open = holdReleases()
    await deploy('1.1')
    await goTo('Deployments')
    await page
      .getByRole('region', { name: 'Under way' })
      .getByRole('link', { name: /deploy web r2/ })
      .click()
    const target = (name: string) =>
      page.getByRole('listitem').filter({ has: page.getByRole('link', { name }) })
    await target('web-1').getByText('releasing', { exact: true }).waitFor()
    await waitUntil('web-1 has the command', async () => hosts[0]?.waiting !== undefined)
    await page.getByRole('heading', { name: 'Batch 1 (switches now)' }).waitFor()
    const command = hosts[0]?.waiting?.id
    if (command === undefined) throw new Error('web-1 has no command')
    const bytes = { done: 30 * 1024 ** 2, total: 120 * 1024 ** 2 }
    hosts[0]?.client.send([{ type: 'progress', command, step: 'pull image', position: 2, total: 6, bytes }])
    await page.getByRole('progressbar', { name: 'pull image on web-1' }).waitFor()
    await target('web-1').getByText('30.0 MiB of 120 MiB').waitFor()
    const refused = { container: 'web-r2-0', attempt: 2, isOk: false, answer: 'status 503', tookMs: 12 }
    hosts[0]?.client.send([
      { type: 'progress', command, step: 'await-healthy', position: 4, total: 6, bytes, health: [refused] }
    ])
    await target('web-1').getByText('web-r2-0: not yet attempt 2, status 503, in 12 ms').waitFor()
    await look(t, 'deployment')
    const connections = { requests: 3, upgraded: 1 }
    hosts[0]?.client.send([{ type: 'progress', command, step: 'drain', position: 5, total: 6, connections }])
    await target('web-1').getByText('3 requests and 1 upgraded connections left').waitFor()
    open[0]?.()
    await target('web-1').getByText('released', { exact: true }).waitFor()
    await target('web-2').getByText('releasing', { exact: true }).waitFor()
    open[1]?.()
    await page.locator('main').getByText('succeeded', { exact: true }).waitFor()
    await target('web-2')
      .getByText(/steps? so far/)
      .click()
    await target('web-2')
      .getByText(/^release: done/)
      .waitFor()
    await page.getByRole('button', { name: 'Promote' }).click()
    const dialog = page.getByRole('dialog')
    t.same(await dialog.getByLabel('Environment').locator('option').allTextContents(), ['production'])
    await look(t, 'dialog')
    await page.keyboard.press('Escape')
    await goTo('Deployments')
    await look(t, 'deployments')
  })

  await t.test('another deployment is cancelled by keyboard, after a question', async (t) => {
    const open = holdReleases()
    const { id } = await deploy('1.2')
    await page.goto(`${url}/#/deployments/${id}`)
    await page.getByRole('heading', { name: 'Batch 1 (switches now)' }).waitFor()
    const cancel = page.locator('main').getByRole('button', { name: 'Cancel deployment' })
    await cancel.first().focus()
    await page.keyboard.press('Enter')
    const focused = () => page.evaluate('document.activeElement.textContent')
    t.equal(await focused(), 'No, leave it', 'what does no harm has the focus')
    await page.keyboard.press('Escape')
    t.equal(await focused(), 'Cancel deployment', 'and it comes back')
    await page.keyboard.press('Enter')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('main').getByText('cancelled', { exact: true }).first().waitFor()
    await page.getByText('bye', { exact: true }).waitFor()
    t.equal(await page.getByRole('button', { name: 'Cancel deployment' }).count(), 0)
    for (const each of open) each()
    await look(t, 'cancelled')
  })

  await t.test(
    'a service tells its releases and what changed; values only to who may read them',
    async (t) => {
      await goTo('Fleet')
      await page
        .getByRole('region', { name: 'Services of staging' })
        .getByRole('link', { name: 'web' })
        .click()
      const current = page.getByRole('row').filter({ hasText: 'r2 current' })
      await current.getByText('succeeded').waitFor()
      const build = current.getByRole('link', { name: 'https://ci.example.com/job/web/1.1/' })
      t.equal(await build.getAttribute('rel'), 'noopener noreferrer')
      const change = page.getByRole('region', { name: 'Changes of the spec' }).getByRole('row')
      await change.filter({ hasText: 'environment.PASSWORD' }).getByText('hunter3').waitFor()
      await look(t, 'service')
      t.equal(await page.getByRole('button', { name: 'To r1', exact: true }).count(), 1)
    }
  )

  await t.test('logs of all hosts are followed, paused, searched, and gone on with', async (t) => {
    const [one, other] = hosts
    if (one === undefined || other === undefined) throw new Error('no hosts')
    // agents tell the first twelve characters
    const container = 'c0ffee0c0ffe'
    const begun = { kind: 'begun' as const, container, name: 'web-r2-0', release: 2 as never, index: 0 }
    const line = (second: number, text: string, from: 'stdout' | 'stderr' = 'stdout') => {
      const time = `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z`
      return { kind: 'line' as const, container, from, time, text }
    }
    const isRead = (what: string, are = true) =>
      waitUntil(what, async () => hosts.every(({ logs }) => logs.size === (are ? 1 : 0)))
    const relay = await startCuttableRelay(t, url)
    await page.goto(`${relay.url}/#/services/staging/web`)
    await page.getByRole('link', { name: 'Logs of web in staging', exact: true }).click()
    await heading('Logs of web in staging')
    await isRead('both hosts are read')
    const lines = page.getByRole('log')
    one.write([
      begun,
      line(1, 'GET /orders 200'),
      line(2, '\u001b[31mno\u001b[0m \u202esuch order', 'stderr')
    ])
    other.write([begun, line(1, 'GET /carts 200'), { kind: 'left-out', container, lines: 7 }])
    const silent = 'deadbeef0000'
    other.write([{ kind: 'unreadable', container: silent, detail: 'the log driver none keeps nothing' }])
    await lines.locator('.stderr').filter({ hasText: 'web-1' }).getByText('no such order').waitFor()
    await lines.getByText('web-2: 7 lines left out').waitFor()
    await lines.getByText('nothing can be read of container deadbeef0000: the log driver none').waitFor()
    await page.getByText('2 of 2 hosts are read').waitFor()
    await look(t, 'logs')

    await page.getByRole('button', { name: 'Pause' }).click()
    one.write([line(3, 'while it is paused')])
    await page.getByText('1 wait', { exact: false }).waitFor()
    t.equal(await lines.getByText('while it is paused').count(), 0)
    await page.getByRole('button', { name: 'Go on' }).click()
    await lines.getByText('while it is paused').waitFor()

    await page.getByLabel('Search these lines').fill('ORDERS')
    await lines.getByText('GET /carts 200').waitFor({ state: 'detached' })
    t.equal(await lines.locator('mark').allTextContents().then(String), 'orders')
    await page.getByLabel('Search these lines').fill('')

    relay.cut()
    await page.getByRole('status').getByText('Not connected').waitFor()
    await isRead('nobody reads', false)
    relay.mend()
    await isRead('both are read again')
    one.write([begun, line(2, 'no such order', 'stderr'), line(3, 'while it is paused'), line(4, 'news')])
    await lines.getByText('news').waitFor()
    t.equal(await lines.getByText('while it is paused').count(), 1, 'what was shown is not shown twice')

    const { promise: readable, resolve: letRead } = Promise.withResolvers<void>()
    await page.route('**/v1/agents', async (route) => {
      await readable
      await route.continue()
    })
    relay.cut()
    await page.getByText('connection lost', { exact: true }).waitFor()
    relay.mend()
    await page.getByText('connecting', { exact: true }).waitFor()
    t.equal(await page.locator('main.stale').count(), 1, 'what was missed is not known yet')
    letRead()
    await page.getByText('live', { exact: true }).waitFor()
    await page.unroute('**/v1/agents')
    await isRead('both are read once more')

    await page.getByText('Hosts: all 2').click()
    await page.getByRole('checkbox', { name: 'web-2' }).check()
    await page.getByLabel('With this text').fill('order 4711')
    await page.getByRole('button', { name: 'Read', exact: true }).click()
    await waitUntil('web-2 alone is read', async () => one.logs.size === 0 && other.logs.size === 1)
    t.match(page.url(), /#\/logs\/staging\/web\?host=web-2&grep=order\+4711$/)
    await page.reload()
    await waitUntil('it is read after a reload', async () =>
      [...other.logs.values()].every(({ asked }) => asked.grep === 'order 4711' && asked.tail === 200)
    )
    await goTo('Fleet')
    await isRead('nobody reads any more', false)
    await page.goto(url)
    await heading('Fleet')
  })

  await t.test('a held host is approved, a token is revoked, and the audit has it', async (t) => {
    await enrol(url, await newMachine('web-2'), await joinTokenOf('staging', {}))
    await goTo('Tokens and joins')
    const held = page.getByRole('listitem').filter({ hasText: 'web-2' })
    await held.waitFor()
    await look(t, 'tokens')
    await held.getByRole('button', { name: 'Approve' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Approve' }).click()
    await held.waitFor({ state: 'detached' })
    const row = page.getByRole('region', { name: 'Join tokens' }).getByRole('row').nth(1)
    await row.getByRole('button', { name: 'Revoke' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click()
    await row.getByText('revoked').waitFor()
    await goTo('Audit')
    await page.getByRole('cell', { name: 'agent.approve', exact: true }).waitFor()
    await look(t, 'audit')
    await page.getByLabel('action').fill('deployment.cancel')
    await page.keyboard.press('Enter')
    await page.getByRole('cell', { name: 'agent.approve', exact: true }).waitFor({ state: 'detached' })
    await page.getByRole('cell', { name: 'deployment.cancel', exact: true }).first().waitFor()
  })

  await t.test('a session that may only read sees hashes and no buttons', async (t) => {
    const made = await ask<{ token: string }>('POST', '/v1/api-tokens', {
      name: 'reader',
      allow: ['read:staging/*']
    })
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('API token').fill(made.token)
    await page.keyboard.press('Enter')
    await page.getByText('reader').waitFor()
    await page.goto(`${url}/#/services/staging/web`)
    const change = page.getByRole('region', { name: 'Changes of the spec' }).getByRole('row')
    await change.filter({ hasText: 'environment.PASSWORD' }).getByText('sha256:f52fbd32').waitFor()
    t.equal(await page.getByRole('button', { name: /To r/ }).count(), 0)
    t.notMatch(await page.content(), /hunter/)
    t.equal(await page.getByRole('link', { name: /Logs/ }).count(), 0)
    await page.goto(`${url}/#/logs/staging/web`)
    await page.getByRole('alert').getByText('may not read them').waitFor()
  })

  await t.test('going from view to view leaves nothing behind in the page', async (t) => {
    const lookAround = async (): Promise<void> => {
      for (const place of ['Deployments', 'Audit', 'Tokens and joins', 'Fleet']) {
        await goTo(place)
        await heading(place)
      }
      await page.getByRole('region', { name: 'Hosts' }).getByRole('link', { name: 'web-1' }).click()
      await heading('web-1')
    }
    for (let round = 0; round < 3; round++) await lookAround()
    const before = await heldBy(page)
    for (let round = 0; round < 10; round++) await lookAround()
    const after = await heldBy(page)
    t.ok(after.nodes <= before.nodes * 1.1, `${before.nodes} nodes, then ${after.nodes}`)
    t.ok(after.listeners <= before.listeners * 1.1, `${before.listeners} listeners, then ${after.listeners}`)
    t.ok(
      after.heapMebibytes <= before.heapMebibytes * 1.2,
      `${before.heapMebibytes} MiB, then ${after.heapMebibytes}`
    )
  })

  await t.test('a lost controller is said, and what is shown is grey', async (t) => {
    await goTo('Fleet')
    await controller.kill()
    await page.getByRole('status').getByText('The controller was heard last').waitFor()
    t.equal(await page.locator('main.stale').count(), 1)
    await look(t, 'lost')
    t.same(complaints, [], 'no error and no violation of the policy was logged')
  })
})
