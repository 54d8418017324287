// Sources of images through the engine: a deployment whose registry is down goes on with what the controller's own store
// has, environments say where images come from, and a host that converges is told what the others were.
import type { Digest, ImageSource, RunOutcome } from '@longshore/protocol'
import t from 'tap'
import { UpstreamError } from '../../../../packages/controller/src/core/images/upstream-error.ts'
import { createConfigReader } from '../../../../packages/controller/src/engine/read-configs.ts'
import { digestOf as sampleDigestOf } from '../../../support/image-samples.ts'
import { agentOf, digestOf, failed } from '../core/deployment-scenes.ts'
import { containerOf } from '../core/inventory-scenes.ts'
import { type EngineScene, helloOf, jenkins, openScene, requestFor } from './engine-scene.ts'
import { type Behaviour, deploying } from './scene-hosts.ts'

const mirror: ImageSource = { kind: 'mirror', at: 'mirror.test' }
const stored = { digest: digestOf('8') as Digest, contents: [] }

const noRegistry: Behaviour = (host, command) =>
  command.body.kind === 'resolve'
    ? failed('old', 'registry-unavailable', 'the registry is away')
    : deploying(host, command)

const run = async (scene: EngineScene, change: Parameters<typeof requestFor>[0] = {}) => {
  const { id } = await scene.deployments.request(jenkins, requestFor(change))
  await scene.settle()
  return scene.deployments.view(id)
}
const stages = (scene: EngineScene) =>
  scene.commands.flatMap(({ body }) => (body.kind === 'stage' ? [body] : []))

t.test('a registry that is down keeps no image from being deployed that the controller has', async (t) => {
  const { scene } = await openScene(['a', 'b', 'c'], noRegistry)
  const { what } = requestFor({})
  const tag = what.by === 'tag' ? what.tag : ''
  t.match(await run(scene), { outcome: 'refused' })
  scene.artifacts.set(`api ${tag}`, stored)
  t.match(await run(scene), {
    outcome: 'succeeded',
    digest: stored.digest,
    warnings: [/the controller said which image api:.* is: host a: the registry is away; host b/]
  })
  t.match(stages(scene)[0], { sources: [{ kind: 'registry' }, { kind: 'artifact' }] })
  t.same(scene.faults, [])
  await scene.close()
})

t.test('an environment says where its images come from', async (t) => {
  const { scene, store } = await openScene(['a'], deploying)
  await store.transaction(async (tx) => {
    const row = await tx.environment('staging')
    if (row !== undefined) await tx.putEnvironment({ ...row, sources: [mirror, { kind: 'artifact' }] })
  })
  t.match(await run(scene), { outcome: 'succeeded' })
  const [resolve] = scene.commands
  t.match(resolve?.body, { kind: 'resolve', sources: [mirror] })
  t.match(stages(scene)[0], { sources: [mirror, { kind: 'artifact' }] })
  await scene.close()
})

t.test(
  'an agent of before is asked for nothing but the registry, and told of what it cannot do',
  async (t) => {
    const { scene, store } = await openScene(['a'], deploying)
    scene.capabilities = scene.capabilities.filter((one) => one !== 'sources')
    t.match(await run(scene), { outcome: 'succeeded' }, 'the registry alone needs nothing new')
    scene.artifacts.set('api v1', stored)
    t.match(
      await run(scene, { recreate: true }),
      { outcome: 'succeeded', warnings: [] },
      'nor what comes beside it'
    )
    t.notOk(stages(scene).some((one) => 'sources' in one))
    scene.artifacts.clear()
    await store.transaction(async (tx) => {
      const row = await tx.environment('staging')
      if (row !== undefined) await tx.putEnvironment({ ...row, sources: [mirror] })
    })
    t.match(await run(scene), { outcome: 'refused', reason: /cannot do sources.*upgrade the agent/ })
    await scene.close()
  }
)

t.test('the deployment shows where each host got the image', async (t) => {
  const { scene } = await openScene(['a', 'b'], (host, command) => {
    const outcome = deploying(host, command) as RunOutcome
    if (outcome.status !== 'succeeded' || outcome.result.kind !== 'stage') return outcome
    if (host === 'b') return { ...outcome, result: { ...outcome.result, source: null } }
    const failedSources = [
      { source: { kind: 'registry' as const }, code: 'no-progress' as const, detail: 'it hangs' }
    ]
    return { ...outcome, result: { ...outcome.result, source: mirror, failedSources } }
  })
  t.match(await run(scene), {
    outcome: 'succeeded',
    targets: [
      {
        source: 'mirror:mirror.test',
        failedSources: [{ source: 'registry', code: 'no-progress', detail: 'it hangs' }]
      },
      { source: null }
    ]
  })
  await scene.close()
})

t.test('status says which source served what a host runs', async (t) => {
  let source: ImageSource | null = mirror
  const { scene, hosts } = await openScene(['a', 'b'], (host, command) => {
    const outcome = deploying(host, command) as RunOutcome
    if (outcome.status !== 'succeeded' || outcome.result.kind !== 'stage' || host === 'b') return outcome
    return { ...outcome, result: { ...outcome.result, source } }
  })
  const { id } = await run(scene)
  const tell = (deployment: string | null) => {
    const containers = [containerOf(1, { deployment: deployment as typeof id })]
    for (const host of hosts.names)
      scene.deployments.observed(agentOf(host), { ...helloOf(host).inventory, containers })
  }
  const sources = async () => {
    const [view] = await scene.deployments.status({})
    return view?.hosts.map((host) => ('source' in host ? host.source : 'not known'))
  }
  tell(null)
  t.same(await sources(), ['mirror:mirror.test', 'not known'], 'of the deployment that brought the release')
  const restart = { what: { by: 'current' }, recreate: true } as const
  source = null
  const again = await run(scene, restart)
  t.match(again, { outcome: 'succeeded', release: 1, targets: [{ source: null }, {}] })
  tell(again.id)
  t.same(await sources(), ['mirror:mirror.test', 'not known'], 'it was on the host since then')
  source = { kind: 'artifact' }
  const anew = await run(scene, restart)
  tell(anew.id)
  t.same(await sources(), ['artifact', 'not known'])
  tell(id)
  t.same(await sources(), ['mirror:mirror.test', 'not known'])
  await scene.close()
})

t.test('what the registry said of an image is known to whatever brings it later', async (t) => {
  const { scene } = await openScene(['a'], deploying)
  const [content, other] = ['c', 'd'].map((one) => ({
    platform: 'linux/amd64/v2',
    config: digestOf(one),
    diffIds: [digestOf('e')]
  }))
  if (content === undefined || other === undefined) throw new Error('there are two')
  scene.artifacts.set('api v1', { digest: digestOf('8'), contents: [content, other] })
  const asked: unknown[] = []
  scene.configsOf = async (wanted) => {
    asked.push(wanted)
    return [content.config]
  }
  t.match(await run(scene), { outcome: 'succeeded', digest: digestOf('7'), warnings: [] })
  t.match(asked, [{ digest: digestOf('7'), places: ['api'], platforms: ['linux/amd64'] }])
  await run(scene, { what: { by: 'tag', tag: 'v2' } })
  const told = () => stages(scene).map(({ contents }) => contents)
  t.same(told(), [[content], undefined])
  t.match(await run(scene, { what: { by: 'rollback', release: 1 } }), { outcome: 'succeeded' })
  t.same(told().at(-1), [content])
  scene.artifacts.set('api v1', { digest: digestOf('8'), contents: [other] })
  t.match(await run(scene, { what: { by: 'current' }, recreate: true }), { outcome: 'succeeded' })
  t.same(told().at(-1), undefined, 'the tag has another image by now')
  t.equal(asked.length, 1)
  await scene.close()
})

t.test('a registry that takes too long to say it is left alone for a while', async (t) => {
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf('c'), size: 2 }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const content = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: [] }))
  const asked: string[] = []
  let nowMs = 0
  const configsOf = createConfigReader({
    upstream: {
      manifest: async (repository) => {
        asked.push(repository)
        if (repository === 'mirror.test/api') return { mediaType, content }
        nowMs += 3_000
        throw new UpstreamError('registry-unreachable', 'nothing came')
      },
      blob: () => Promise.reject(new Error('not prepared'))
    },
    logins: { forRepository: async () => null },
    steadyClock: { nowMs: () => nowMs },
    log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  })
  const wanted = { repository: 'api', digest: sampleDigestOf(content) as Digest, platforms: [] }
  const places = ['slow.test/api', 'mirror.test/api']
  t.same(await configsOf({ ...wanted, places }), [digestOf('c')])
  t.same(await configsOf({ ...wanted, places }), [digestOf('c')])
  t.same(asked, [...places, 'mirror.test/api'])
  nowMs += 10 * 60_000
  t.same(await configsOf({ ...wanted, places: ['slow.test/api'] }), [])
  t.equal(asked.at(-1), 'slow.test/api')
  t.same(await configsOf({ ...wanted, digest: digestOf('1'), places: ['mirror.test/api'] }), [], 'a lie')
})

t.test('a host that converges gets the image as the deployment of the release did', async (t) => {
  const { scene } = await openScene(['a', 'b'], noRegistry)
  const { what } = requestFor({})
  scene.artifacts.set(`api ${what.by === 'tag' ? what.tag : ''}`, stored)
  await run(scene)
  scene.artifacts.clear()
  const before = stages(scene).length
  const { commands } = scene
  const [first] = commands
  if (first === undefined) throw new Error('nothing was sent')
  const { environment, service, agent } = first
  await scene.deployments.converge({ environment, service, agent, recreate: true })
  await scene.settle()
  t.match(stages(scene)[before], { sources: [{ kind: 'registry' }, { kind: 'artifact' }] })
  await scene.close()
})
