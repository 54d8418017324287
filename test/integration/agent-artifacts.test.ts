// A real engine that pulls from a real controller by way of the agent's door: with the token of an agent that was
// enrolled, over a connection that breaks, and not with anybody else's.
import { randomBytes } from 'node:crypto'
import { agentId, type ImageSource, installationId, type RunReport, signPullToken } from '@longshore/protocol'
import t from 'tap'
import { enrol, newMachine } from '../support/agent-client.ts'
import { pushImage, registryClient } from '../support/image-samples.ts'
import { type Image, makeImage, makeWebImage } from '../support/images.ts'
import { startOddRegistry } from '../support/odd-registry.ts'
import { startRealController } from '../support/real-controller.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec, stageBody } from '../support/run-samples.ts'
import { type Pushed, RunsScene, statusOf } from '../support/runs-scene.ts'

const spec = sampleSpec({ update: { ...sampleSpec().update, monitorMs: 0 } })
const registry: ImageSource = { kind: 'registry' }
const artifact: ImageSource = { kind: 'artifact' }

testOnRealParts(t, "images of the controller's own store", async (t) => {
  const scene = await RunsScene.start(t)
  const [address = ''] = scene.registry.name.split(':')
  const controller = await startRealController(t, { listen: `${address}:0`, keepFreeBytes: 0 })
  const odd = await startOddRegistry(t, address, 5012, new URL(controller.url).host)
  const machine = await newMachine('web-1')
  const join = await controller.joinToken({ environment: 'production' })
  const enrolled = await enrol(controller.url, machine, join.token)
  const { agents = [] } = {
    agents: (await controller.ask('GET', '/v1/agents')).body as unknown as { id: string }[]
  }
  t.equal(enrolled.status, 200, JSON.stringify(enrolled.body))
  const token = await signPullToken(
    {
      agent: agentId.parse(agents[0]?.id),
      installation: installationId.parse(controller.installation),
      nowMs: Date.now()
    },
    machine.key
  )
  const hostWith = (TEST_TOKEN: string) =>
    scene.beside(t, { env: { TEST_CONTROLLER: `http://${odd.name}`, TEST_TOKEN } })
  const host = hostWith(token)

  /** To the controller alone, under the name that it has in the registry. */
  const push = async (tag: string, image: Image): Promise<Pushed> => {
    const repository = `${scene.registry.name}/web`
    const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
    return { repository, tag, digest: await pushImage(client, repository, tag, image) }
  }
  const stage = (at: RunsScene, service: string, image: Pushed, sources: ImageSource[]): Promise<RunReport> =>
    at.run(at.command(service, { ...stageBody(1, spec, image), sources }))
  const large = () =>
    makeImage([[{ type: 'file', path: 'data', content: randomBytes(4 * 1024 * 1024) }]], { Cmd: ['/none'] })

  await t.test('what only the controller has is pulled from it, and runs', async (t) => {
    const image = await push('v1', makeWebImage('v1', 'unchecked'))
    const staged = await stage(host, 'stored', image, [registry, artifact])
    const result = {
      image: { digest: image.digest },
      source: artifact,
      failedSources: [{ source: registry, code: 'image-not-found' }]
    }
    t.match(staged.outcome, { status: 'succeeded', result }, JSON.stringify(staged))
    const released = await host.run(host.command('stored', releaseBody(1, spec, image)))
    t.equal(statusOf(released), 'succeeded new 1', JSON.stringify(released))
    const [container] = await host.containers('stored')
    t.equal(container?.Labels['longshore.image'], `${image.repository}@${image.digest}`)
    await host.removeAll('stored')
  })

  await t.test('a connection that breaks in the middle of a layer goes on where it ended', async (t) => {
    const image = await push('v2', large())
    odd.oddity = { kind: 'cuts-once', afterBytes: 1_000_000 }
    const staged = await stage(host, 'broken', image, [artifact])
    t.match(staged.outcome, { status: 'succeeded', result: { source: artifact } }, JSON.stringify(staged))
    t.ok(
      odd.asked.some((one) => / bytes=[1-9]\d+-/.test(one)),
      odd.asked.filter((one) => one.includes('/blobs/')).join('\n')
    )
  })

  await t.test('a controller that goes away in the middle leaves it to the next source', async (t) => {
    const made = large()
    const image = await push('v3', made)
    await scene.push('v3', made)
    odd.oddity = { kind: 'stalls', afterBytes: 1_000_000 }
    const staged = await stage(host, 'away', image, [artifact, registry])
    t.match(
      staged.outcome,
      {
        status: 'succeeded',
        result: { source: registry, failedSources: [{ source: artifact, code: 'no-progress' }] }
      },
      JSON.stringify(staged)
    )
    odd.oddity = { kind: 'none' }
  })

  await t.test('a token that is no agent of the controller gets nothing', async (t) => {
    const image = await push('v4', large())
    const stranger = await stage(hostWith('not-a-token'), 'denied', image, [artifact])
    t.match(
      stranger.outcome,
      { status: 'failed', error: { code: 'registry-denied', failedSources: [{ source: artifact }] } },
      JSON.stringify(stranger)
    )
  })
})
