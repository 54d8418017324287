// Images that the controller fetches for its hosts, through the engine: a hundred hosts cost the registry one pull, and a
// controller that dies in the middle goes on with it. The registry is a stand-in that counts.
import { type Digest, digest } from '@longshore/protocol'
import t from 'tap'
import { UpstreamError } from '../../../../packages/controller/src/core/images/upstream-error.ts'
import { createImageCache } from '../../../../packages/controller/src/engine/cache-images.ts'
import { offerArtifacts } from '../../../../packages/controller/src/engine/offer-artifacts.ts'
import type { Upstream } from '../../../../packages/controller/src/image-ports.ts'
import type { Artifacts, Store } from '../../../../packages/controller/src/ports.ts'
import { digestOf as digestOfContent, type SampleImage, sampleImage } from '../../../support/image-samples.ts'
import { waitUntil } from '../../../support/wait.ts'
import { digestOf, failed, resolved } from '../core/deployment-scenes.ts'
import { openImages } from '../images/images-scene.ts'
import { EngineScene, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, deploying } from './scene-hosts.ts'

const registry = { kind: 'registry' } as const
const mirror = { kind: 'mirror', at: 'mirror.test' } as const
const artifact = { kind: 'artifact' } as const

/** Every host says that the tag is this image. */
const resolving =
  (image: SampleImage): Behaviour =>
  (host, command) =>
    command.body.kind === 'resolve'
      ? { ...resolved, result: { kind: 'resolve', digest: digest.parse(image.digest) } }
      : deploying(host, command)

const cacheImages = (store: Store, change: object = {}) =>
  store.transaction(async (tx) => {
    const row = await tx.spec('staging', 'api')
    if (row === undefined) throw new Error('the scene has no spec')
    const spec = { ...row.spec, cache: true, ...change }
    await tx.insertSpec({ ...row, revision: row.revision + 1, spec })
  })

const countingUpstream = (image: SampleImage) => {
  const asked: string[] = []
  const upstream: Upstream = {
    manifest: async (repository) => {
      asked.push(`${repository} manifest`)
      return { mediaType: image.mediaType, content: image.manifest }
    },
    blob: async (repository, wanted) => {
      asked.push(`${repository} blob`)
      const content = [...image.layers, image.config].find((one) => digestOfContent(one) === wanted)
      return (async function* () {
        if (content !== undefined) yield content
      })()
    }
  }
  return { asked, upstream }
}

const deploy = async (scene: EngineScene, change: Parameters<typeof requestFor>[0] = {}) => {
  const { id } = await scene.deployments.request(jenkins, requestFor(change))
  // files and a store of their own are not known to the scene
  return waitUntil('the deployment has ended', async () => {
    await scene.settle()
    const view = await scene.deployments.view(id)
    return view.phase === 'ended' && view
  })
}
const noLogins = { forRepository: async () => null }
const stages = (scene: EngineScene) =>
  scene.commands.flatMap(({ body }) => (body.kind === 'stage' ? [body] : []))

t.test('a hundred hosts cost the registry one pull, and the next deployment none', async (t) => {
  const image = sampleImage(['one', 'two'])
  const { images } = await openImages(t)
  const { asked, upstream } = countingUpstream(image)
  const names = Array.from({ length: 100 }, (_, at) => `h${at}`)
  const { scene, store } = await openScene(names, resolving(image))
  await cacheImages(store, {
    update: { ...(await store.spec('staging', 'api'))?.spec.update, parallelism: { unit: 'count', value: 0 } }
  })
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const { findArtifact, fetchArtifact } = offerArtifacts({
    images,
    cache: createImageCache({ images, upstream }),
    logins: noLogins,
    configsOf: async () => [],
    log
  })
  scene.fetchArtifact = fetchArtifact
  scene.findArtifact = findArtifact
  t.match(await deploy(scene), { outcome: 'succeeded', digest: image.digest, warnings: [] })
  const once = ['api manifest', 'api blob', 'api blob', 'api blob']
  t.same(asked, once)
  t.equal(stages(scene).length, 100)
  const content = { platform: 'linux/amd64', config: image.configDigest }
  for (const one of stages(scene)) t.match(one, { sources: [artifact, registry], contents: [content] })
  t.notOk(stages(scene).some(({ spec }) => 'cache' in spec))
  const [first] = scene.commands
  if (first === undefined) throw new Error('nothing was sent')
  const { environment, service, agent } = first
  await scene.deployments.converge({ environment, service, agent, recreate: true })
  while (stages(scene).length === 100) await scene.settle()
  t.same(asked, once, 'it is here now')
  await scene.close()
})

t.test('with every registry down a tag that was deployed before is deployed from the cache', async (t) => {
  const image = sampleImage(['cached'])
  let isDown = false
  const { scene, store } = await openScene(['a', 'b'], (host, command) =>
    isDown && command.body.kind === 'resolve'
      ? failed('old', 'registry-unavailable', 'away')
      : resolving(image)(host, command)
  )
  await cacheImages(store)
  const stored = { digest: digest.parse(image.digest), contents: [] }
  scene.fetchArtifact = async ({ repository }) => {
    scene.artifacts.set(`${repository} ${image.digest}`, stored)
    return stored
  }
  t.match(await deploy(scene), { outcome: 'succeeded' })
  isDown = true
  const view = await deploy(scene, { recreate: true })
  t.match(view, { outcome: 'succeeded', digest: image.digest, warnings: [/host a: away; host b: away/] })
  t.match(await deploy(scene, { what: { by: 'tag', tag: 'v2' } }), { outcome: 'refused' }, 'never deployed')
  await scene.close()
})

t.test('a controller that dies while it fetches goes on with it in its next life', async (t) => {
  const { scene, store, hosts } = await openScene(['a', 'b'], deploying)
  await cacheImages(store)
  let began = 0
  scene.fetchArtifact = () => {
    began += 1
    return new Promise(() => {})
  }
  const { id } = await scene.deployments.request(jenkins, requestFor())
  await scene.settle()
  t.equal(began, 1)
  t.match(await scene.deployments.view(id), { phase: 'requested', digest: digestOf('7') })
  await scene.die()
  const next = new EngineScene(store, hosts)
  const wanted: Parameters<Artifacts['fetchArtifact']>[0][] = []
  next.fetchArtifact = async (one) => {
    wanted.push(one)
    return { digest: one.digest, contents: [] }
  }
  await next.deployments.start()
  for (const host of hosts.names) await next.connect(host)
  await next.settle()
  t.match(wanted, [{ repository: 'api', digest: digestOf('7'), places: ['api'] }])
  t.equal(wanted.length, 1)
  t.match(await next.deployments.view(id), { outcome: 'succeeded', warnings: [] })
  const told = scene.events.flatMap((event) =>
    event.type === 'deployment' ? [event.deployment.services[0]?.cache] : []
  )
  t.same(told, ['wanted', 'fetching'], 'people see what is waited for')
  t.match(stages(next)[0], { sources: [artifact, registry] })
  await next.close()
})

t.test('a controller that cannot fetch says so, and hosts use their own sources', async (t) => {
  const { scene, store } = await openScene(['a'], deploying)
  await cacheImages(store, { sources: [mirror, registry] })
  const { images } = await openImages(t)
  const login = { username: 'me', password: 'secret' }
  const logins = {
    forRepository: async (repository: string) => (repository.startsWith('mirror.test/') ? login : null)
  }
  const asked: string[] = []
  const upstream: Upstream = {
    manifest: async (repository, _digest, given) => {
      asked.push(repository)
      t.equal(given, repository.startsWith('mirror.test/') ? login : null, 'each with its own login')
      throw new UpstreamError('registry-busy', `${repository} answered 503`)
    },
    blob: () => Promise.reject(new Error('not prepared'))
  }
  const cache = createImageCache({ images, upstream })
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  scene.fetchArtifact = offerArtifacts({
    images,
    cache,
    logins,
    configsOf: async () => [],
    log
  }).fetchArtifact
  const view = await deploy(scene)
  t.match(view, {
    outcome: 'succeeded',
    warnings: [/could not fetch the image of api.*mirror.test\/library\/api answered 503; .*api answered 503/]
  })
  t.same(asked, ['mirror.test/library/api', 'api'], 'in the order of the sources')
  t.same(stages(scene)[0]?.sources, [mirror, registry])
  await scene.close()
})

t.test('a host that converges gets it the same way', async (t) => {
  const { scene, store } = await openScene(['a'], deploying)
  await cacheImages(store)
  const wanted: Digest[] = []
  scene.fetchArtifact = async (one) => {
    wanted.push(one.digest)
    return { digest: one.digest, contents: [] }
  }
  await deploy(scene)
  const [first] = scene.commands
  if (first === undefined) throw new Error('nothing was sent')
  const { environment, service, agent } = first
  await scene.deployments.converge({ environment, service, agent, recreate: true })
  await scene.settle()
  t.same(wanted, [digestOf('7'), digestOf('7')])
  t.match(stages(scene).at(-1), { sources: [artifact, registry] })
  await scene.close()
})
