// Whether the load deserves trust: it has no failures of its own, and a replacement with a gap does not escape it.
// Then the way from stop-first to start-first: one gap, announced and measured, and none after it.
import t, { type Test } from 'tap'
import { describe, earlyCuts, expectNoLoss } from '../support/load/judge.ts'
import {
  graceMs,
  type LoadFleet,
  startLoadFleet,
  webService,
  webWithoutGap
} from '../support/load/load-fleet.ts'
import { mixedClients, startLoad } from '../support/load/start-load.ts'
import { testOnRealParts } from '../support/real-parts.ts'

type DeployDocument = { outcome: string; targets: { traffic?: { gapMs: number | null } }[] }

const useWeb = ({ urls }: LoadFleet) => ({ url: urls.web, secure: null, line: null, clients: mixedClients })

const deploy = ({ controller }: LoadFleet, tag: string, ...more: string[]) =>
  controller.cliJson<DeployDocument>('deploy', 'web', '--env', 'test', '--tag', tag, ...more)

const notice = async (t: Test, fleet: LoadFleet): Promise<void> => {
  await fleet.push('v2')
  const load = await startLoad(t, useWeb(fleet))
  t.match(await deploy(fleet, 'v2'), { exitCode: 0 })
  await load.firstAnswerOf('v2')
  const report = await load.stop()
  t.comment(describe(report))
  t.ok(report.failed > 0, 'requests fail')
  const cut = report.cuts.filter(({ kind, version }) => kind === 'socket' && version === 'v1')
  t.equal(cut.length, mixedClients.socket, 'every WebSocket is cut')
  t.ok(earlyCuts(report, graceMs).length >= cut.length, 'and that is not taken for the end of a grace')
}

const takeOver = async (t: Test, fleet: LoadFleet): Promise<void> => {
  await fleet.push('v3')
  await fleet.apply({ web: webWithoutGap() })
  const planned = await deploy(fleet, 'v3', '--plan')
  t.match(planned, { exitCode: 0 }, planned.stderr)
  t.match(JSON.stringify(planned.document.targets), /gap/, 'the plan announces the gap')
  const load = await startLoad(t, useWeb(fleet))
  const { exitCode, document, stderr } = await deploy(fleet, 'v3')
  t.equal(exitCode, 0, stderr)
  const report = await load.stop()
  const { traffic } = document.targets[0] ?? {}
  t.comment(`${JSON.stringify(traffic)}; ${describe(report)}`)
  t.ok((traffic?.gapMs ?? 0) > 0, 'the gap was measured')
}

testOnRealParts(
  t,
  'the load notices stop-first, and nothing where nothing changes',
  async (t) => {
    const fleet = await startLoadFleet(t)
    await fleet.push('v1')
    await fleet.apply({ web: webService() })
    t.match(await deploy(fleet, 'v1'), { exitCode: 0 })
    await t.test('nothing changes', async (t) => {
      const load = await startLoad(t, useWeb(fleet), { maxRequests: 1000 })
      const report = await load.end()
      expectNoLoss(t, report, graceMs)
      t.strictSame([report.failed, report.cuts], [0, []])
      t.ok(report.answered >= 1000)
    })
    await t.test('stop-first', (t) => notice(t, fleet))
    await t.test('the port is taken over by HAProxy, with one gap', (t) => takeOver(t, fleet))
    await t.test('and then there is none any more', async (t) => {
      await fleet.push('v4')
      const load = await startLoad(t, useWeb(fleet))
      t.match(await deploy(fleet, 'v4'), { exitCode: 0 })
      expectNoLoss(t, await load.stop(), graceMs)
    })
  },
  { timeoutMs: 300_000 }
)
