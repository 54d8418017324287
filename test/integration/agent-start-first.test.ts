// What start-first does on a real engine with a real HAProxy: the switch under requests that never pause, every way
// back, and the moves of a port between HAProxy and a container. One host serves all tests, each with its own service.
import t from 'tap'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleRouting, sampleSpec, stageBody, startFirstSpec } from '../support/run-samples.ts'
import { RunsScene, statusOf } from '../support/runs-scene.ts'
import { askOnce, startLoad } from '../support/steady-load.ts'

const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const port = (published: number) => ({ target: 8888, published, hostIp: null, protocol: 'tcp' as const })
const update = { ...startFirstSpec().update, monitorMs: 200 }
const specOn = (published: number, change: Parameters<typeof sampleSpec>[0] = {}) =>
  startFirstSpec({ ports: [port(published)], update, probe, ...change })
const stopFirstOn = (published: number) =>
  sampleSpec({ ports: [port(published)], update: { ...update, order: 'stop-first' }, probe })

testOnRealParts(
  t,
  'start-first on a real host',
  async (t) => {
    const scene = await RunsScene.start(t)
    const v1 = await scene.push('v1', 'unchecked')
    const v2 = await scene.push('v2', 'unchecked')
    const broken = await scene.push('v3', 'exits')
    const urlOf = (published: number) => `http://${scene.host.address}:${published}/`
    const images = [v2, v1]

    await t.test(
      'the first release serves, and the second takes over without a failed request',
      async (t) => {
        const spec = specOn(9080)
        const first = await scene.deploy('web', spec, 1, v1)
        t.equal(statusOf(first), 'succeeded new 1', JSON.stringify(first))
        t.equal(await askOnce(urlOf(9080)), 'v1')
        const load = startLoad(urlOf(9080))
        await load.answered('v1')
        const second = await scene.deploy('web', spec, 2, v2)
        t.equal(statusOf(second), 'succeeded new 2', JSON.stringify(second))
        t.match(second.outcome, { result: { traffic: { gapMs: null } } }, JSON.stringify(second))
        t.comment(JSON.stringify(second))
        await load.answered('v2')
        const failed = await scene.deploy('web', spec, 3, broken)
        t.equal(statusOf(failed), 'failed old 2', JSON.stringify(failed))
        t.match(failed.outcome, { error: { code: /^container-/, step: 'await-healthy' } })
        t.equal(await askOnce(urlOf(9080)), 'v2')
        await scene.run(scene.command('web', { kind: 'settle', release: 2, keepImages: 9 }))
        t.same(await scene.running('web'), ['2'])
        t.equal((await scene.containers('web')).length, 1)
        const third = await scene.deploy('web', spec, 4, v1)
        t.equal(statusOf(third), 'succeeded new 4', JSON.stringify(third))
        const reverted = await scene.run(scene.command('web', { kind: 'revert', from: 4, to: 2 }))
        t.equal(statusOf(reverted), 'succeeded old 2', JSON.stringify(reverted))
        t.equal(await askOnce(urlOf(9080)), 'v2')
        await load.stop()
        t.same(load.failures, [], `of ${[...load.answers.values()].reduce((a, b) => a + b, 0)} answers`)
        const again = await scene.run(scene.command('web', releaseBody(5, spec, v2)))
        t.match(again.outcome, { status: 'succeeded', result: { containers: [] } }, 'nothing is touched')
        const removed = await scene.run(scene.command('web', { kind: 'remove', release: null }))
        t.equal(statusOf(removed), 'succeeded none null', JSON.stringify(removed))
        await t.rejects(askOnce(urlOf(9080)), { message: /ECONNREFUSED/ })
        t.same(await scene.containers('web'), [])
      }
    )

    await t.test('one that dies after the switch gives the traffic back at once', async (t) => {
      const spec = specOn(9081)
      await scene.deploy('dying', spec, 1, v1)
      const watched = specOn(9081, { update: { ...update, monitorMs: 60_000 } })
      await scene.run(scene.command('dying', stageBody(2, watched, v2)))
      const command = scene.command('dying', releaseBody(2, watched, v2))
      scene.begin(command)
      await scene.reached(command, 'monitor')
      t.equal(await askOnce(urlOf(9081)), 'v2')
      const [dying] = (await scene.containers('dying')).filter(
        (one) => one.Labels['longshore.release'] === '2'
      )
      await scene.host.engine.client.post(`/containers/${dying?.Id}/kill`)
      const report = await scene.reportOf(command)
      t.equal(statusOf(report), 'failed old 1', JSON.stringify(report))
      t.match(report.outcome, { error: { code: /^container-/, step: 'monitor' } })
      t.equal(await askOnce(urlOf(9081)), 'v1')
      t.same(await scene.running('dying'), ['1'])
      await scene.removeAll('dying')
    })

    await t.test('a port moves from a container to HAProxy and back', async (t) => {
      const stopFirst = stopFirstOn(9082)
      await scene.deploy('moved', stopFirst, 1, v1)
      t.equal(await askOnce(urlOf(9082)), 'v1')
      const failed = await scene.deploy('moved', specOn(9082), 2, broken)
      t.equal(statusOf(failed), 'failed old 1', JSON.stringify(failed))
      t.equal(await askOnce(urlOf(9082)), 'v1', 'the one that held the port was not stopped')
      const taken = await scene.deploy('moved', specOn(9082), 3, v2)
      t.equal(statusOf(taken), 'succeeded new 3', JSON.stringify(taken))
      t.match(taken.outcome, { result: { traffic: { gapMs: Number, drainMs: null } } })
      t.comment(JSON.stringify(taken))
      t.equal(await askOnce(urlOf(9082)), 'v2')
      const back = await scene.run(scene.command('moved', { kind: 'revert', from: 3, to: 1 }))
      t.equal(statusOf(back), 'succeeded old 1', JSON.stringify(back))
      t.equal(await askOnce(urlOf(9082)), 'v1')
      await scene.deploy('moved', specOn(9082), 4, v2)
      t.equal(await askOnce(urlOf(9082)), 'v2')
      const undone = await scene.deploy('moved', stopFirst, 5, broken)
      t.equal(statusOf(undone), 'failed old 4', JSON.stringify(undone))
      t.equal(await askOnce(urlOf(9082)), 'v2')
      const last = await scene.deploy('moved', stopFirst, 6, v1)
      t.equal(statusOf(last), 'succeeded new 6', JSON.stringify(last))
      t.equal(await askOnce(urlOf(9082)), 'v1')
      await scene.removeAll('moved')
    })

    await t.test(
      'an unmanaged container gives its port up, and serves again when the release is removed',
      async (t) => {
        const { client } = scene.host.engine
        await scene.run(scene.command('taken', stageBody(1, sampleSpec(), v1)))
        await client.post('/containers/create?name=legacy', {
          Image: `${v1.repository}@${v1.digest}`,
          HostConfig: {
            RestartPolicy: { Name: 'always' },
            PortBindings: { '8888/tcp': [{ HostPort: '9083' }] }
          }
        })
        await client.post('/containers/legacy/start')
        const spec = specOn(9083)
        const refused = await scene.run(scene.command('taken', stageBody(2, spec, v2)))
        t.match(refused.outcome, { status: 'failed', error: { code: 'port-taken', detail: /legacy/ } })
        const replace = { replace: 'legacy' }
        await scene.run(scene.command('taken', { ...stageBody(2, spec, v2), ...replace }))
        const release = await scene.run(scene.command('taken', releaseBody(2, spec, v2, replace)))
        t.equal(statusOf(release), 'succeeded new 2', JSON.stringify(release))
        t.equal(await askOnce(urlOf(9083)), 'v2')
        const removed = await scene.run(scene.command('taken', { kind: 'remove', release: 2 }))
        t.equal(statusOf(removed), 'succeeded old null', JSON.stringify(removed))
        t.equal(await askOnce(urlOf(9083)), 'v1')
        await client.delete('/containers/legacy?force=true')
      }
    )

    await t.test('a run killed at any step ends the same, and no request fails', async (t) => {
      const spec = specOn(9084)
      let release = 1
      await scene.deploy('killed', spec, release, v1)
      const load = startLoad(urlOf(9084), 1)
      // check-proxy to retire-container
      for (let position = 1; position <= 10; position += 1) {
        release += 1
        const image = images[release % 2] ?? v1
        await scene.run(scene.command('killed', stageBody(release, spec, image)))
        const command = scene.command('killed', releaseBody(release, spec, image))
        await scene.runUntilDeath(command, { atStep: position, afterMs: position % 3 })
        const report = await scene.reportOf(command)
        t.equal(statusOf(report), `succeeded new ${release}`, JSON.stringify(report))
        t.same(await scene.running('killed'), [String(release)], `killed at step ${position}`)
        t.equal(await askOnce(urlOf(9084)), image.tag)
        await scene.run(scene.command('killed', { kind: 'settle', release, keepImages: 1 }))
        t.equal((await scene.containers('killed')).length, 1, 'no container is left over')
      }
      await load.stop()
      t.same(load.failures, [])
      await scene.removeAll('killed')
    })

    await t.test('a service without traffic gets it back from where it runs, without a run', async (t) => {
      const spec = specOn(9085, { replicas: 2, routing: { ...sampleRouting, keep: 'stopped' } })
      const first = await scene.deploy('kept', spec, 1, v1)
      t.equal(statusOf(first), 'succeeded new 1', JSON.stringify(first))
      const [one, other] = await scene.containers('kept')
      const { client } = scene.host.engine
      await client.delete(`/containers/${one?.Id}?force=true`)
      for (let count = 0; count < 4; count += 1) t.equal(await askOnce(urlOf(9085)), 'v1')
      t.same(
        (await scene.containers('kept')).map(({ Id }) => Id),
        [other?.Id]
      )
      await scene.removeAll('kept')
    })
  },
  { timeoutMs: 1_200_000 }
)
