// What is attached to a container when its traffic goes elsewhere, on a real engine with a real HAProxy: it goes on until
// it ends or drain_timeout does, it is counted meanwhile, and a canary's containers are compared.
import { once } from 'node:events'
import { request } from 'node:http'
import type { Socket } from 'node:net'
import t from 'tap'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, stageBody, startFirstSpec } from '../support/run-samples.ts'
import { RunsScene, statusOf } from '../support/runs-scene.ts'
import { askOnce, startLoad } from '../support/steady-load.ts'
import { makeUpgradeImage } from '../support/upgrade-image.ts'

const probe = { type: 'tcp', port: 8888, intervalMs: 100, timeoutMs: 500 } as const
const specOn = (published: number, drainTimeoutMs: number, monitorMs = 100) =>
  startFirstSpec({
    ports: [{ target: 8888, published, hostIp: null, protocol: 'tcp' }],
    update: { ...startFirstSpec().update, monitorMs },
    probe,
    drainTimeoutMs
  })

/** An upgraded connection that echoes. */
const upgrade = async (url: string): Promise<Socket> => {
  const asked = request(url, { headers: { connection: 'Upgrade', upgrade: 'echo' } })
  asked.on('response', ({ statusCode }) => asked.destroy(new Error(`not upgraded: ${statusCode}`)))
  asked.end()
  const [, socket] = (await once(asked, 'upgrade')) as [unknown, Socket]
  socket.on('error', () => undefined)
  return socket
}

const echo = async (socket: Socket, text: string): Promise<string> => {
  socket.write(text)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  return answer.toString()
}

testOnRealParts(
  t,
  'what is attached to former containers',
  async (t) => {
    const scene = await RunsScene.start(t)
    const v1 = await scene.push('u1', makeUpgradeImage('u1'))
    const v2 = await scene.push('u2', makeUpgradeImage('u2'))
    const urlOf = (published: number) => `http://${scene.host.address}:${published}/`

    await t.test('an upgraded connection goes on until drain_timeout and is closed then', async (t) => {
      await scene.deploy('open', specOn(9180, 2_000), 1, v1)
      const socket = await upgrade(urlOf(9180))
      t.equal(await echo(socket, 'before'), 'before')
      const spec = specOn(9180, 2_000)
      await scene.run(scene.command('open', stageBody(2, spec, v2)))
      const command = scene.command('open', releaseBody(2, spec, v2))
      scene.begin(command)
      await scene.reached(command, 'drain-containers')
      t.equal(await askOnce(urlOf(9180)), 'u2', 'new requests go to the new container')
      t.equal(await echo(socket, 'meanwhile'), 'meanwhile', 'the old connection is still open')
      await once(socket, 'close')
      const report = await scene.reportOf(command)
      t.equal(statusOf(report), 'succeeded new 2', JSON.stringify(report))
      t.match(report.outcome, { result: { traffic: { closed: { requests: 0, upgraded: 1 } } } })
      const told = scene.progress.filter((one) => one.command === command.id && one.connections !== undefined)
      t.match(told[0]?.connections, { upgraded: 1 }, 'it was told while it was waited for')
    })

    await t.test('one that ends by itself ends the wait', async (t) => {
      const socket = await upgrade(urlOf(9180))
      const spec = specOn(9180, 600_000)
      await scene.run(scene.command('open', stageBody(3, spec, v1)))
      const command = scene.command('open', releaseBody(3, spec, v1))
      scene.begin(command)
      await scene.reached(command, 'drain-containers')
      t.equal(await echo(socket, 'still here'), 'still here')
      socket.end()
      const report = await scene.reportOf(command)
      t.equal(statusOf(report), 'succeeded new 3', JSON.stringify(report))
      t.match(report.outcome, { result: { traffic: { closed: { requests: 0, upgraded: 0 } } } })
    })

    await t.test('a canary shares the traffic before it gets all of it', async (t) => {
      const spec = specOn(9180, 2_000, 1_500)
      await scene.run(scene.command('open', stageBody(4, spec, v2)))
      const body = { ...(releaseBody(4, spec, v2) as object), canaryMaxErrorRatio: 0.1 }
      const command = scene.command('open', body)
      const load = startLoad(urlOf(9180))
      scene.begin(command)
      await scene.reached(command, 'share-traffic')
      await load.answered('u2')
      const report = await scene.reportOf(command)
      await load.stop()
      t.equal(statusOf(report), 'succeeded new 4', JSON.stringify(report))
      t.same(load.failures, [])
      t.ok((load.answers.get('u1') ?? 0) > 0, 'the old one had its share')
      await scene.removeAll('open')
    })
  },
  { timeoutMs: 600_000 }
)
