// Prometheus itself on what is shipped for it: the controller's metrics, the documented configuration, the alerts, and
// every query of the dashboard, against a controller at which everything that is shown has happened.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { inventory } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { assertionOf, connect, enrol, helloOf, newMachine, refusalOf } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { makeAuthority } from '../support/authority.ts'
import { promtool, startPrometheus } from '../support/prometheus.ts'
import { openEventStream } from '../support/read-events.ts'
import { type RealController, specOf, startRealController, textOf } from '../support/real-controller.ts'
import { makeTestFolder, testOnProgram } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const root = new URL('../../', import.meta.url).pathname
const shipped = join(root, 'deploy/prometheus')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const rulesFile = 'longshore.rules.yml'

testOnProgram(t, 'promtool', 'alerts fire when they should, and only then', async (t) => {
  t.match(await promtool(['check', 'rules', rulesFile], { cwd: shipped }), { exitCode: 0 })
  const tested = await promtool(['test', 'rules', 'longshore.rules.test.yml'], { cwd: shipped })
  t.equal(tested.exitCode, 0, tested.output)

  const scenes = read('deploy/prometheus/longshore.rules.test.yml').split('  - name: ').slice(1)
  for (const rule of read(`deploy/prometheus/${rulesFile}`).split('- alert: ').slice(1)) {
    const name = rule.split('\n')[0] ?? ''
    const scene = scenes.find((one) => one.startsWith(`${name}\n`)) ?? ''
    const [, fired = ''] = /exp_samples: (.*alertstate="firing".*)/.exec(scene) ?? []
    t.match(scene, /alertstate="pending"/, `${name} is shown to wait`)
    t.ok(fired.includes(`alertname="${name}"`), `${name} is shown to fire`)
    for (const [, label] of rule.matchAll(/\$labels\.(\w+)/g))
      t.ok(
        fired.includes(` ${label}="`) || fired.includes(`{${label}="`),
        `${name} has the label ${label} that its text names`
      )
  }
})

/** One environment with traffic, and a host that can go; another with a host that accepts nothing. */
const makeBusyController = async (t: Test) => {
  const authority = await makeAuthority(makeTestFolder(t), '127.0.0.1')
  setDefaultCACertificates([...getCACertificates(), readFileSync(authority.caFile, 'utf8')])
  const controller = await startRealController(t, { tls: await authority.certify('controller') })
  const { ask, joinToken, trust, url } = controller
  for (const name of ['staging', 'production']) await ask('POST', '/v1/environments', { body: { name } })
  const spec = specOf({ ports: ['80:8888'], deploy: { update_config: { order: 'start-first' } } })
  for (const environment of ['staging', 'production'])
    await ask('PUT', `/v1/environments/${environment}/services/web/spec`, { body: { spec } })
  const join = async (hostName: string, environment: string) => {
    const machine = await newMachine(hostName)
    await enrol(url, machine, (await joinToken({ environment })).token)
    return machine
  }
  const trusted = await trust()
  const working = await connectAnswering(url, await join('web1', 'staging'), trusted)
  await connect(url, await join('deaf', 'production'), trusted)
  const leaving = await join('gone', 'staging')
  const former = await connectAnswering(url, leaving, trusted)
  former.socket.close()
  await former.closed
  const gone = await connectAnswering(url, leaving, trusted)
  await refusalOf(url, await assertionOf(await newMachine('stranger'), controller.installation))
  const made = await ask('POST', '/v1/api-tokens', {
    body: { name: 'ends', allow: ['read:*/*'], ttlMs: 3_600_000 }
  })
  await openEventStream(`${url}/v1/events`, textOf(made.body, 'token'))
  return { controller, authority, working, gone }
}
const what = { by: 'tag', tag: '1' }
const deploy = ({ ask }: RealController, environment: string) =>
  ask('POST', '/v1/deployments', { body: { service: 'web', environment, what } })

const room = { diskFreeBytes: 5, diskTotalBytes: 100, load: 3, memoryFreeBytes: 7 }
const inventoryAfter = (requests: number) =>
  inventory.parse({
    ...helloOf('web1').inventory,
    ...room,
    proxy: { state: 'down', version: null, detail: '' },
    traffic: [
      {
        environment: 'staging',
        service: 'web',
        requests,
        errors: requests / 50,
        requestsPerSecond: 12.5,
        errorsPerSecond: 0.25,
        sessions: 7,
        upgraded: 3,
        latencyMs: 8
      }
    ]
  })

/** The shipped file, with this controller in it, looked at each second: a busy machine answers within that time. */
const configurationFor = (url: string, tokenFile: string, caFile: string): string => {
  const changes = [
    ['/etc/prometheus/longshore-token', tokenFile],
    ['longshore.example.com:7300', new URL(url).host],
    ['# tls_config:', 'tls_config:'],
    ['/etc/prometheus/longshore-ca.pem', caFile],
    ['scrape_interval: 30s', 'scrape_interval: 1s'],
    ['evaluation_interval: 30s', 'evaluation_interval: 1s']
  ] as const
  let text = read('deploy/prometheus/prometheus.yml').replace(/^#.*\n/gm, '')
  for (const [from, to] of changes) {
    if (!text.includes(from)) throw new Error(`prometheus.yml has no ${from}`)
    text = text.replace(from, to)
  }
  return text
}

type Rule = { name: string; query: string; health: string; lastError?: string }
type Alert = { labels: Record<string, string>; annotations: Record<string, string> }
type Dashboard = {
  panels: { title: string; targets?: { expr: string; legendFormat: string }[] }[]
  templating: { list: { type: string; definition: string }[] }
}

testOnProgram(
  t,
  'prometheus',
  'Prometheus reads it, judges it, and has what the dashboard shows',
  async (t) => {
    const { controller, authority, working, gone } = await makeBusyController(t)
    const tell = (requests: number) =>
      working.send([{ type: 'inventory', inventory: inventoryAfter(requests) }])
    tell(100)
    await deploy(controller, 'production')
    await deploy(controller, 'staging')
    const tokenFile = join(makeTestFolder(t), 'longshore-token')
    writeFileSync(tokenFile, `${await controller.tokenFor('read:*/*')}\n`)
    const prometheus = await startPrometheus(t, {
      'prometheus.yml': configurationFor(controller.url, tokenFile, authority.caFile),
      [rulesFile]: read(`deploy/prometheus/${rulesFile}`)
    })
    const { ask, query } = prometheus
    /** Convergence deploys by itself what these hosts do not show. */
    const awaitDeployments = (count: number) =>
      waitUntil(`Prometheus has read of ${count} deployments`, async () => {
        const ended = 'sum(longshore_deployments_total{mode="deploy", outcome="succeeded"})'
        return (await query(`${ended} >= ${count}`)).length > 0
      })
    await awaitDeployments(1)
    tell(200)
    await deploy(controller, 'staging')
    await awaitDeployments(2)
    gone.socket.close()
    await waitUntil('Prometheus has read of the host that is gone', async () => {
      const silent = await query('ALERTS{alertname="LongshoreHostSilent"}')
      return silent.length > 0
    })

    await t.test('the controller is up, by the configuration that the page shows', async (t) => {
      const [target, ...others] = await waitUntil('it is up', async () => {
        const { activeTargets } = await ask<{ activeTargets: { health: string }[] }>('targets')
        return activeTargets.every(({ health }) => health === 'up') && activeTargets
      })
      t.match(target, { lastError: '', labels: { job: 'longshore' } })
      t.same(others, [])
      const withoutComments = (text: string) =>
        text
          .replaceAll(/^ *#.*\n/gm, '')
          .replaceAll(/["']/g, '')
          .trim()
      const [, documented = ''] = /```yaml\n(scrape_configs:[\s\S]*?)```/.exec(read('docs/metrics.md')) ?? []
      t.not(documented, '')
      t.ok(withoutComments(read('deploy/prometheus/prometheus.yml')).endsWith(withoutComments(documented)))
    })

    await t.test('promtool finds nothing to say of what it reads', async (t) => {
      const answer = await fetch(`${controller.url}/metrics`, {
        headers: { authorization: `Bearer ${controller.token}` }
      })
      t.same(await promtool(['check', 'metrics'], { input: await answer.text() }), {
        exitCode: 0,
        output: ''
      })
    })

    await t.test('every alert is evaluated; what waits to fire says for whom', async (t) => {
      const rules = await waitUntil('every rule was evaluated', async () => {
        const { groups } = await ask<{ groups: { rules: Rule[] }[] }>('rules')
        const found = groups.flatMap((group) => group.rules)
        return found.every(({ health }) => health !== 'unknown') && found
      })
      t.equal(rules.length, read(`deploy/prometheus/${rulesFile}`).split('- alert: ').length - 1)
      for (const { name, health, lastError = '' } of rules) t.same([health, lastError], ['ok', ''], name)
      for (const [metric] of rules
        .map((rule) => rule.query)
        .join(' ')
        .matchAll(/\blongshore_\w+/g))
        await waitUntil(`${metric} is there`, async () => (await query(metric)).length > 0)
      const namesOf = (alerts: Alert[]) => new Set(alerts.map(({ labels }) => labels['alertname']))
      const wait = ['HostSilent', 'ProxyDown', 'DiskLow', 'CertificateExpires', 'ApiTokenExpires']
      const alerts = await waitUntil(`they wait to fire: ${wait.join(', ')}`, async () => {
        const { alerts } = await ask<{ alerts: Alert[] }>('alerts')
        const names = namesOf(alerts)
        return wait.every((name) => names.has(`Longshore${name}`)) && alerts
      })
      const names = namesOf(alerts)
      t.notOk(names.has('LongshoreControllerDown'))
      t.notOk(names.has('LongshoreMixedFleet'))
      for (const { annotations } of alerts)
        t.notMatch(JSON.stringify(annotations), /no value|error expanding|\{\{/)
    })

    await t.test('every query of the dashboard has numbers, under the names of its legend', async (t) => {
      const { panels, templating } = JSON.parse(read('deploy/grafana/longshore.json')) as Dashboard
      const asked = panels.flatMap(({ title, targets = [] }) => targets.map((one) => ({ title, ...one })))
      t.ok(asked.length > 20)
      for (const { title, expr, legendFormat } of asked) {
        const filled = expr.replaceAll('$environment', '.*').replaceAll('$__rate_interval', '1m')
        const result = await waitUntil(`numbers of ${title}: ${expr}`, async () => {
          const found = await query(filled)
          return found.some(({ value }) => Number.isFinite(Number(value[1]))) && found
        })
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          t.ok(
            result.every(({ metric }) => metric[label] !== undefined),
            `${title} has the label ${label}`
          )
      }
      const choices = templating.list.filter(({ type }) => type === 'query')
      t.equal(choices.length, 1)
      for (const { definition } of choices) {
        const [, metric = '', label] = /^label_values\((\w+), (\w+)\)$/.exec(definition) ?? []
        t.same(await ask(`label/${label}/values`, { 'match[]': metric }), ['production', 'staging'])
      }
    })
  }
)
