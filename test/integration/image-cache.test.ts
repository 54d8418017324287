// An image of a real registry (Debian's docker-registry) is fetched once, whatever the number of hosts, and is there when
// that registry is gone.
import { artifactRepository, digest } from '@longshore/protocol'
import t from 'tap'
import { createUpstream } from '../../packages/controller/src/adapters/upstream/fetch-images.ts'
import { createImageCache } from '../../packages/controller/src/engine/cache-images.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering, obedient } from '../support/answering-agent.ts'
import { registryClient } from '../support/image-samples.ts'
import { makeImage } from '../support/images.ts'
import { startOddRegistry } from '../support/odd-registry.ts'
import { specOf, startRealController, textOf } from '../support/real-controller.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { startTestRegistry } from '../support/registry.ts'
import { waitUntil } from '../support/wait.ts'
import { openImages } from '../unit/controller/images/images-scene.ts'

testOnRealParts(t, 'an image of a registry that is down is served from the cache', async (t) => {
  const { images } = await openImages(t)
  const registry = await startTestRegistry(t, '127.0.0.1', 17431)
  const image = makeImage([[{ type: 'file', path: 'a', content: Buffer.alloc(2_000_000, 'a') }]], {})
  const pushed = await registry.push('team/app', '1', image)
  const cache = createImageCache({ images, upstream: createUpstream({ ca: null }) })
  const wanted = {
    repository: `${registry.name}/team/app`,
    digest: digest.parse(pushed),
    platforms: null,
    login: null
  }
  const fetched = await cache.ensure(wanted)
  t.same(fetched.platforms[0]?.diffIds, image.diffIds)
  await registry.stop()
  t.same(await cache.ensure(wanted), fetched)
  const other = digest.parse(image.config.digest)
  await t.rejects(cache.ensure({ ...wanted, digest: other }), { code: 'registry-unreachable' })
})

testOnRealParts(t, 'many hosts cost the registry one pull, and none when it is down', async (t) => {
  const registry = await startTestRegistry(t, '127.0.0.1', 17433)
  const counting = await startOddRegistry(t, '127.0.0.1', 17434, registry.name)
  const repository = `${counting.name}/team/app`
  const layers = ['a', 'b'].map((text) => [
    { type: 'file' as const, path: text, content: Buffer.alloc(1_000_000, text) }
  ])
  const image = makeImage(layers, {})
  const pushed = digest.parse(await registry.push('team/app', '1', image))
  const controller = await startRealController(t, { keepFreeBytes: 0 })
  const { ask } = controller
  const update = { update_config: { parallelism: 0 } }
  const spec = specOf({ image: repository, deploy: update, 'x-longshore': { cache: true } })
  const put = await ask('PUT', '/v1/environments/staging/services/app/spec', { body: { spec } })
  t.equal(put.status, 200, JSON.stringify(put.body))
  let isDown = false
  const staged: unknown[] = []
  const { token } = await controller.joinToken({ usesMax: 100 })
  for (let at = 0; at < 20; at += 1) {
    const machine = await newMachine(`host-${at}`)
    await enrol(controller.url, machine, token)
    await connectAnswering(controller.url, machine, await controller.trust(), (command) => {
      const { body } = command
      if (body.kind === 'stage') staged.push(body.sources[0])
      if (body.kind !== 'resolve') return obedient(command)
      const answer = { serving: 'none', release: null } as const
      return isDown
        ? {
            ...answer,
            status: 'failed',
            error: { code: 'registry-unavailable', detail: 'away', step: 'resolve-image', log: [] }
          }
        : { ...answer, status: 'succeeded', result: { kind: 'resolve', digest: pushed } }
    })
  }
  const deploy = async () => {
    const body = { service: 'app', environment: 'staging', what: { by: 'tag', tag: '1' }, recreate: true }
    const id = textOf((await ask('POST', '/v1/deployments', { body })).body, 'id')
    return waitUntil('the deployment has ended', async () => {
      const view = (await ask('GET', `/v1/deployments/${id}`)).body
      return view['phase'] === 'ended' ? view : undefined
    })
  }
  t.match(await deploy(), { outcome: 'succeeded', digest: pushed, warnings: [] })
  t.equal(counting.asked.length, 4, `manifest, configuration, two layers: ${counting.asked.join(', ')}`)
  const first = Array.from({ length: 20 }, () => ({ kind: 'artifact' }))
  t.same(staged, first)

  await registry.stop()
  isDown = true
  const again = await deploy()
  t.match(again, { outcome: 'succeeded', digest: pushed, warnings: [/the controller said/] })
  t.same(staged, [...first, ...first])
  t.equal(counting.asked.length, 4)
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  const layer = await client.ask(
    'GET',
    `/v2/${artifactRepository(repository)}/blobs/${image.layers[0]?.digest}`
  )
  t.same([layer.status, layer.body.length], [200, image.layers[0]?.content.length])
})
