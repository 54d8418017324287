// What the agent's runs do on a real engine with a real registry: the switch, its undo, and every way in which
// the agent, the engine or a stranger gets between two steps. One host serves all tests, each with its own service.
import t from 'tap'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec, stageBody } from '../support/run-samples.ts'
import { RunsScene, statusOf } from '../support/runs-scene.ts'

const update = { ...sampleSpec().update, monitorMs: 0 }
/** A tiny probe in place of the five seconds for which a container without any check is watched. */
const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const specOn = (published: number) =>
  sampleSpec({ ports: [{ target: 8888, published, hostIp: null, protocol: 'tcp' }], update, probe })

testOnRealParts(t, "the agent's runs", async (t) => {
  const scene = await RunsScene.start(t)
  const v1 = await scene.push('v1', 'unchecked')
  const v2 = await scene.push('v2', 'unchecked')
  const broken = await scene.push('v3', 'exits')
  const { engine } = scene.host

  await t.test('a release replaces the one before, and a broken one is undone', async (t) => {
    const spec = specOn(8080)
    const staged = await scene.run(scene.command('web', stageBody(1, spec, v1)))
    t.match(staged.outcome, { status: 'succeeded', result: { kind: 'stage', isRunning: false } })
    const first = await scene.run(scene.command('web', releaseBody(1, spec, v1)))
    t.equal(statusOf(first), 'succeeded new 1', JSON.stringify(first))
    const second = await scene.deploy('web', spec, 2, v2)
    t.equal(statusOf(second), 'succeeded new 2', JSON.stringify(second))
    t.same(await scene.running('web'), ['2'])

    const third = await scene.deploy('web', spec, 3, broken)
    t.equal(statusOf(third), 'failed old 2', JSON.stringify(third))
    const error = { code: /^container-(exited|restarted)$/, step: 'await-healthy' }
    t.match(third.outcome, { error })
    t.match(JSON.stringify(third), 'the configuration has no database', 'the log is in the report')
    t.same(await scene.running('web'), ['2'])

    const again = await scene.run(scene.command('web', releaseBody(4, spec, v2)))
    t.match(again.outcome, { status: 'succeeded', result: { containers: [] } }, 'nothing is touched')
    t.same(await scene.running('web'), ['2'])

    await engine.client.post('/containers/prune')
    const reverted = await scene.run(scene.command('web', { kind: 'revert', from: 2, to: 1 }))
    t.equal(statusOf(reverted), 'succeeded old 1', JSON.stringify(reverted))
    t.same(await scene.running('web'), ['1'], 'made again from the journal')
    const settled = await scene.run(scene.command('web', { kind: 'settle', release: 1, keepImages: 9 }))
    t.match(settled.outcome, { status: 'succeeded', result: { warnings: [] } }, JSON.stringify(settled))

    const stranger = await scene.run(scene.command('other', stageBody(1, spec, v1)))
    t.match(stranger.outcome, { status: 'failed', error: { code: 'port-taken', detail: /web-r1-0/ } })

    const removed = await scene.run(scene.command('web', { kind: 'remove', release: null }))
    t.equal(statusOf(removed), 'succeeded none null')
    t.same(await scene.containers('web'), [])
  })

  await t.test('a run killed at any step ends the same after the next start', async (t) => {
    const spec = specOn(8081)
    let release = 1
    await scene.deploy('killed', spec, release, v1)
    for (let position = 1; position <= 6; position += 1) {
      release += 1
      const image = release % 2 === 0 ? v2 : v1
      await scene.run(scene.command('killed', stageBody(release, spec, image)))
      const command = scene.command('killed', releaseBody(release, spec, image))
      await scene.runUntilDeath(command, { atStep: position, afterMs: position * 7 })
      const report = await scene.reportOf(command)
      t.equal(statusOf(report), `succeeded new ${release}`, JSON.stringify(report))
      t.same(await scene.running('killed'), [String(release)], `killed at step ${position}`)
      await scene.run(scene.command('killed', { kind: 'settle', release, keepImages: 1 }))
      t.equal((await scene.containers('killed')).length, 1, 'no container is left over')
    }
    await scene.removeAll('killed')
  })

  await t.test('a fixed name moves with the switch, and a replaced stranger serves again', async (t) => {
    const { client } = engine
    const checked = await scene.push('v4', 'healthy')
    const named = sampleSpec({ containerName: 'fixed', update, probe })
    await scene.run(scene.command('fixed', stageBody(1, sampleSpec(), checked)))
    const stranger = {
      Image: `${v1.repository}@${checked.digest}`,
      HostConfig: { RestartPolicy: { Name: 'always' } }
    }
    await client.post('/containers/create?name=fixed', stranger)
    await client.post('/containers/fixed/start')
    const names = async () =>
      (await scene.containers()).map((one) => `${one.Names[0]} ${one.State}`).toSorted()
    const refused = await scene.run(scene.command('fixed', releaseBody(2, named, v1)))
    t.match(refused.outcome, { status: 'failed', error: { code: 'name-taken' } })
    await scene.run(scene.command('fixed', { ...stageBody(3, named, broken), replace: 'fixed' }))
    const failed = await scene.run(
      scene.command('fixed', releaseBody(3, named, broken, { replace: 'fixed' }))
    )
    t.equal(statusOf(failed), 'failed old null', JSON.stringify(failed))
    t.same(await names(), ['/fixed running'])
    const taken = await scene.run(scene.command('fixed', releaseBody(4, named, v1, { replace: 'fixed' })))
    t.equal(statusOf(taken), 'succeeded new 4', JSON.stringify(taken))
    t.same(await names(), ['/fixed running', '/fixed-r4-replaced exited'])
    const removed = await scene.run(scene.command('fixed', { kind: 'remove', release: 4 }))
    t.equal(statusOf(removed), 'succeeded old null', JSON.stringify(removed))
    t.same(await names(), ['/fixed running'])
    await client.delete('/containers/fixed?force=true')
  })

  await t.test('an engine that restarts keeps the old one down and the new one up', async (t) => {
    const spec = {
      ...specOn(8082),
      restart: { name: 'no', maxRetries: 0 } as const,
      update: { ...update, monitorMs: 1_500 }
    }
    await scene.deploy('restarted', specOn(8082), 1, v1)
    await scene.run(scene.command('restarted', stageBody(2, spec, v2)))
    const command = scene.command('restarted', releaseBody(2, spec, v2))
    // 5 is await-healthy: the new container runs, and ends with code 0 when the engine stops it
    await scene.runUntilDeath(command, { atStep: 5, afterMs: 20 })
    await engine.shutDown()
    await engine.start()
    t.same(
      await scene.running('restarted'),
      [],
      'neither the kept one nor one without a policy comes by itself'
    )
    const report = await scene.reportOf(command)
    t.equal(statusOf(report), 'succeeded new 2', JSON.stringify(report))
    t.same(await scene.running('restarted'), ['2'])

    const third = scene.command('restarted', releaseBody(3, specOn(8082), v1))
    await scene.runUntilDeath(third, { atStep: 4, afterMs: 20 })
    const underWay = scene.reportOf(third)
    await engine.shutDown()
    await engine.start()
    t.equal(statusOf(await underWay), 'succeeded new 3')
    t.same(await scene.running('restarted'), ['3'])
  })
})
