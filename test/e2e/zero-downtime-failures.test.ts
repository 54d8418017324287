// What goes wrong after the switch: a new version that crashes, turns unhealthy or answers errors as a canary, and a
// HAProxy that is killed. The old version has the traffic back at once, and only what was in the middle of the new
// one is lost. How long it took is told, not asserted.
import t, { type Test } from 'tap'
import { signalProcess } from '../../scripts/hosts/process-identity.ts'
import { type AppBehaviour, crashExitCode } from '../support/load/app-image.ts'
import { beginDeployments } from '../support/load/deploy-services.ts'
import { describe, lostRequests } from '../support/load/judge.ts'
import { graceMs, webWithoutGap } from '../support/load/load-fleet.ts'
import type { LoadReport } from '../support/load/report.ts'
import { type Scene, startScene } from '../support/load/scene.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

/** Crashes of the app, as the engine told them; milliseconds since 1970. */
const crashesSince = async ({ fleet }: Scene, sinceMs: number): Promise<number[]> => {
  const window = `since=${sinceMs / 1000}&until=${Date.now() / 1000}`
  const filters = encodeURIComponent(JSON.stringify({ event: ['die'] }))
  const text = await fleet.host.engine.client.getText(`/events?${window}&filters=${filters}`)
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { timeNano: number; Actor: { Attributes: { exitCode: string } } })
    .filter(({ Actor }) => Actor.Attributes.exitCode === `${crashExitCode}`)
    .map(({ timeNano }) => timeNano / 1e6)
}

/** Deploys a version of `web` that is to fail, while it is used. */
const deployBroken = async (
  scene: Scene,
  t: Test,
  behaviour: AppBehaviour
): Promise<{ report: LoadReport; reason: string; code: string | undefined; beganAtMs: number }> => {
  const version = scene.nextVersion()
  await scene.fleet.push(version, behaviour)
  const load = await scene.startLoad(t)
  const beganAtMs = Date.now()
  const [waiting] = await beginDeployments(scene.fleet, ['web'], version)
  if (waiting === undefined) throw new Error('no deployment')
  const { exitCode, document } = await waiting.end()
  const report = await load.stop()
  t.match({ exitCode, document }, { exitCode: 1, document: { outcome: 'reverted' } }, document.outcome)
  t.ok((report.versions[version]?.answers ?? 0) > 0, 'the new version had the traffic')
  const [target] = document.targets
  t.equal(target?.serving, 'old')
  t.comment(`${target?.code}: ${target?.reason}; ${describe(report)}`)
  return { report, reason: target?.reason ?? '', code: target?.code, beganAtMs }
}

/**
 * Docker starts a crashed container again, and HAProxy sends it requests until the agent has gone back: on a slow
 * machine it crashes once more. Each crash may cost a client what it had under way, and nothing else is lost.
 */
const crash = async (t: Test, scene: Scene, before: string): Promise<void> => {
  const { report, beganAtMs } = await deployBroken(scene, t, { crashAfterMs: 500 })
  const crashes = await crashesSince(scene, beganAtMs)
  t.ok(crashes.length > 0, 'the new version crashed')
  const lastCrashAtMs = Math.max(...crashes)
  const afterwards = report.failures.filter(({ askedAtMs }) => askedAtMs > lastCrashAtMs)
  t.strictSame(afterwards, [], 'nothing that was asked after the last crash failed')
  const clients = Map.groupBy(report.failures, ({ kind, client }) => `${kind} ${client}`)
  const losers = [...clients].filter(([, failures]) => failures.length > crashes.length)
  t.strictSame(losers, [], 'a client lost at most what it had under way at each crash')
  const cutOfOthers = report.cuts.filter(
    ({ version, openedAtMs }) => version === before || openedAtMs > lastCrashAtMs
  )
  t.strictSame(cutOfOthers, [], 'connections of the old version stayed open')
  const lastAtMs = Math.max(lastCrashAtMs, ...report.failures.map(({ atMs }) => atMs))
  t.comment(
    `${crashes.length} crashes, ${report.failures.length} requests in flight were lost, the last one ${lastAtMs - lastCrashAtMs} ms after the last crash`
  )
}

const killHaproxy = async (t: Test, scene: Scene): Promise<void> => {
  const page = () => fetch(scene.fleet.urls.web).then((answer) => answer.text())
  const before = await page()
  const killed = await scene.haproxies()
  const load = await scene.startLoad(t)
  t.ok(killed.length >= 2, 'a master and a worker')
  for (const one of killed) signalProcess(one, 'SIGKILL')
  await waitUntil('HAProxy to be back', async () => (await page()) === before, { deadlineMs: 60_000 })
  const report = await load.stop()
  t.comment(`killed: ${describe(report)}`)
  const pids = new Set(killed.map(({ pid }) => pid))
  t.notOk((await scene.haproxies()).some(({ pid }) => pids.has(pid)))
}

testOnRealParts(
  t,
  'a version that fails after the switch, and a HAProxy that dies',
  async (t) => {
    const scene = await startScene(t, { monitor: '5s' })
    await t.test('a new version crashes half a second after the switch', (t) => crash(t, scene, 'v1'))
    await t.test('a new version turns unhealthy', async (t) => {
      const { report } = await deployBroken(scene, t, { sickAfterMs: 500 })
      t.strictSame(lostRequests(report, graceMs), [], 'no request failed')
      t.strictSame(
        report.cuts.filter(({ version }) => version === 'v1'),
        []
      )
    })
    await t.test('HAProxy is killed', (t) => killHaproxy(t, scene))
    await t.test('and the next version is replaced without loss', (t) =>
      scene.withoutLoss(t, async () => {
        await scene.deployNext()
      })
    )
    await t.test('a canary that answers more errors than the old version goes back', async (t) => {
      await scene.fleet.apply({
        web: webWithoutGap({ canary: 1, canary_max_error_ratio: 0.1 }, { monitor: '3s' })
      })
      const { report, code } = await deployBroken(scene, t, { errorShare: 0.4 })
      t.equal(code, 'worse-than-before')
      const others = report.failures.filter(
        ({ why, detail }) => why !== 'status' || !/^500 |^500$/.test(detail)
      )
      t.strictSame(others, [], 'only the errors of the new version itself')
    })
    await t.test('one that answers none goes on', (t) =>
      scene.withoutLoss(t, async () => {
        await scene.deployNext(['web'])
      })
    )
  },
  { timeoutMs: 600_000 }
)
