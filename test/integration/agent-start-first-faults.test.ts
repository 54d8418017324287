// Around the agent's run with start-first something dies at each step: HAProxy, the engine, or the whole machine (agent,
// HAProxy and engine). The report says what is true then: what it calls serving answers on the port, and nothing else of
// the service is left after settle. In `npm test` the faults take turns; LONGSHORE_PROOF=1 has all of them at every step.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { findByConfig } from '../../packages/agent/src/adapters/haproxy/processes.ts'
import { endHaproxy } from '../support/haproxy.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, stageBody, startFirstSpec } from '../support/run-samples.ts'
import { type Pushed, RunsScene, statusOf } from '../support/runs-scene.ts'
import { askOnce } from '../support/steady-load.ts'
import { waitUntil } from '../support/wait.ts'

const isProof = process.env['LONGSHORE_PROOF'] === '1'
const published = 9280
const specOf = (monitorMs: number) =>
  startFirstSpec({
    ports: [{ target: 8888, published, hostIp: null, protocol: 'tcp' }],
    update: { ...startFirstSpec().update, monitorMs },
    probe: { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 }
  })
const spec = specOf(200)

const stepsForward = [
  'check-proxy',
  'create-container',
  'start-container',
  'await-healthy',
  'switch-traffic',
  'drain-containers',
  'monitor',
  'retire-container'
]
/** Of a version that never becomes healthy, and of one that dies with the traffic. */
const stepsBack = ['undo remove-container']
const stepsBackWithTraffic = ['undo switch-traffic', 'undo drain-containers', 'undo remove-container']

type Fault = 'haproxy' | 'engine' | 'machine'
const faults: readonly Fault[] = ['haproxy', 'engine', 'machine']

/** Resolves when what died has been started again, as far as nobody else does. */
const strike = async (scene: RunsScene, fault: Fault): Promise<void> => {
  const { engine } = scene.host
  const config = join(scene.folder, 'haproxy', 'haproxy.cfg')
  if (fault === 'machine') await scene.kill()
  if (fault !== 'engine') await endHaproxy(config)
  if (fault === 'haproxy') return
  await engine.kill()
  await engine.start()
}

type Case = { step: string; fault: Fault; image: Pushed; expected: Pushed; isDying: boolean }

const killNewest = async (scene: RunsScene, release: number): Promise<void> => {
  const newest = (await scene.containers('web')).find(
    ({ Labels }) => Labels['longshore.release'] === String(release)
  )
  await scene.host.engine.client.post(`/containers/${newest?.Id}/kill`)
}

const play = async (t: Test, scene: RunsScene, release: number, one: Case): Promise<Pushed> => {
  const wanted = one.isDying ? specOf(120_000) : spec
  await scene.run(scene.command('web', stageBody(release, wanted, one.image)))
  const command = scene.command('web', releaseBody(release, wanted, one.image))
  scene.begin(command)
  if (one.isDying) {
    await scene.reached(command, 'monitor')
    await killNewest(scene, release)
  }
  await scene.reached(command, one.step)
  await strike(scene, one.fault)
  const report = await scene.reportOf(command)
  const { serving } = report.outcome
  t.match(serving, /^(new|old)$/, `${statusOf(report)}: ${JSON.stringify(report.outcome)}`)
  const serves = serving === 'new' ? one.image : one.expected
  const url = `http://${scene.host.address}:${published}/`
  await waitUntil(`${serves.tag} to answer`, async () => (await askOnce(url)) === serves.tag)
  for (let count = 0; count < 5; count += 1) t.equal(await askOnce(url), serves.tag)
  const kept = serving === 'new' ? release : null
  if (kept !== null) await scene.run(scene.command('web', { kind: 'settle', release: kept, keepImages: 1 }))
  t.equal((await scene.containers('web')).length, 1, 'no container is left over')
  t.ok(findByConfig(join(scene.folder, 'haproxy', 'haproxy.cfg')).length >= 2, 'HAProxy runs')
  return serves
}

testOnRealParts(
  t,
  'HAProxy, the engine or the machine dies at a step of a start-first run',
  async (t) => {
    const scene = await RunsScene.start(t)
    const [v1, v2] = [await scene.push('v1', 'unchecked'), await scene.push('v2', 'unchecked')]
    const broken = await scene.push('v3', 'exits')
    let release = 1
    let serves = v1
    await scene.deploy('web', spec, release, v1)
    const all = [
      ...stepsForward.map((step) => ({ step, fate: 'goes on' })),
      ...stepsBack.map((step) => ({ step, fate: 'never becomes healthy' })),
      ...stepsBackWithTraffic.map((step) => ({ step, fate: 'dies with the traffic' }))
    ]
    for (const [index, { step, fate }] of all.entries())
      for (const fault of isProof ? faults : [faults[index % faults.length] ?? 'haproxy'])
        await t.test(`${fault} dies at ${step} of a version that ${fate}`, async (t) => {
          release += 1
          const image = fate === 'never becomes healthy' ? broken : serves === v1 ? v2 : v1
          const isDying = fate === 'dies with the traffic'
          const before = serves
          serves = await play(t, scene, release, { step, fault, image, expected: before, isDying })
          if (fate !== 'goes on') t.equal(serves, before)
        })
  },
  { timeoutMs: 1_200_000 }
)
