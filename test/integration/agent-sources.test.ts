// Images on a real engine from real registries that are down, lie, refuse or stop, and from the controller's store by way
// of the agent's door: what serves in the end is the very image, under no name but ours.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { artifactRepository, type ImageSource, type RunReport } from '@longshore/protocol'
import t from 'tap'
import { startRegistry } from '../../scripts/hosts/registry.ts'
import { makeImage, makeWebImage } from '../support/images.ts'
import { startOddRegistry } from '../support/odd-registry.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { releaseBody, sampleSpec, stageBody } from '../support/run-samples.ts'
import { type Pushed, RunsScene, statusOf } from '../support/runs-scene.ts'

const spec = sampleSpec({ update: { ...sampleSpec().update, monitorMs: 0 } })
const registry: ImageSource = { kind: 'registry' }
const artifact: ImageSource = { kind: 'artifact' }

testOnRealParts(t, 'images from several sources', async (t) => {
  const scene = await RunsScene.start(t)
  const [address = ''] = scene.registry.name.split(':')
  const mirrors = await startRegistry(join(makeTestFolder(t), 'mirror'), address, 5010)
  t.teardown(() => mirrors.stop())
  const mirror: ImageSource = { kind: 'mirror', at: `${mirrors.name}/cache` }
  const odd = await startOddRegistry(t, address, 5011, mirrors.name)
  const { client } = scene.host.engine
  const host = scene.beside(t, { env: { TEST_CONTROLLER: `http://${mirrors.name}` } })

  /** In the registry, at the mirror, behind the odd one, and where the controller would have it. */
  const push = async (tag: string, image = makeWebImage(tag, 'unchecked')): Promise<Pushed> => {
    const pushed = await scene.push(tag, image)
    for (const repository of ['cache/web', 'web', artifactRepository(pushed.repository)])
      t.equal(await mirrors.push(repository, tag, image), pushed.digest)
    return pushed
  }
  const stage = (
    service: string,
    release: number,
    image: Pushed,
    sources: ImageSource[]
  ): Promise<RunReport> => host.run(host.command(service, { ...stageBody(release, spec, image), sources }))
  const release = (service: string, number: number, image: Pushed): Promise<RunReport> =>
    host.run(host.command(service, releaseBody(number, spec, image)))
  /** All names of all images that name the service's tag of ours, or another place. */
  const names = async (): Promise<string[]> => {
    const images =
      await client.get<{ RepoTags: string[] | null; RepoDigests: string[] | null }[]>('/images/json')
    return images
      .flatMap((one) => [...(one.RepoTags ?? []), ...(one.RepoDigests ?? [])])
      .filter((name) => !name.startsWith('<none>'))
      .toSorted()
  }
  const v1 = await push('v1')
  const v2 = await push('v2')
  /** The same images, named as the odd registry's own. */
  const oddly = (image: Pushed): Pushed => ({ ...image, repository: `${odd.name}/web` })

  await t.test('a registry that is down leaves it to the mirror, and the release runs', async (t) => {
    await scene.registry.stop()
    const staged = await stage('down', 1, v1, [registry, mirror])
    t.match(
      staged.outcome,
      {
        status: 'succeeded',
        result: {
          image: { digest: v1.digest },
          source: mirror,
          failedSources: [{ source: registry, code: 'registry-unavailable' }]
        }
      },
      JSON.stringify(staged)
    )
    t.same(await names(), ['longshore/down:production-r1'])
    const first = await release('down', 1, v1)
    t.equal(statusOf(first), 'succeeded new 1', JSON.stringify(first))
    const again = await release('down', 1, v1)
    t.match(
      again.steps.map(({ step }) => step),
      ['await-healthy'],
      'what runs is the very release'
    )
    t.match((await stage('down', 2, v2, [registry, mirror])).outcome, { result: { source: mirror } })
    t.equal(statusOf(await release('down', 2, v2)), 'succeeded new 2')
  })

  await t.test('with everything down, the release before comes back', async (t) => {
    await mirrors.stop()
    const back = await stage('down', 1, v1, [registry, mirror, artifact])
    t.match(back.outcome, { status: 'succeeded', result: { source: null } }, JSON.stringify(back))
    t.equal(statusOf(await release('down', 1, v1)), 'succeeded new 1')
    const none = await stage(
      'down',
      3,
      await Promise.resolve({ ...v1, digest: `sha256:${'ab'.repeat(32)}` }),
      [registry, mirror, artifact]
    )
    t.match(none.outcome, { status: 'failed', error: { code: 'registry-unavailable', step: 'fetch-image' } })
    if (none.outcome.status === 'failed') t.equal(none.outcome.error.failedSources?.length, 3)
    await mirrors.start()
    await scene.registry.start()
  })

  await t.test('images go when no release and no container needs them', async (t) => {
    await host.run(host.command('down', { kind: 'settle', release: 2, keepImages: 0 }))
    t.same(
      await names(),
      ['longshore/down:production-r1', 'longshore/down:production-r2'],
      'one is used, one is kept'
    )
    await host.removeAll('down')
    await host.run(host.command('down', { kind: 'settle', release: 2, keepImages: 0 }))
    t.same(await names(), ['longshore/down:production-r2'])
  })

  await t.test('the controller serves by way of the door, and nothing of the door stays', async (t) => {
    const staged = await stage('stored', 1, v1, [artifact])
    t.match(staged.outcome, { status: 'succeeded', result: { source: artifact } }, JSON.stringify(staged))
    t.equal(statusOf(await release('stored', 1, v1)), 'succeeded new 1')
    t.same(await names(), ['longshore/down:production-r2', 'longshore/stored:production-r1'])
    await host.removeAll('stored')
  })

  const oddities = [
    { name: 'too many requests', oddity: { kind: 'status', status: 429 }, code: 'registry-unavailable' },
    { name: 'an error of its own', oddity: { kind: 'status', status: 500 }, code: 'registry-unavailable' },
    { name: 'bytes that are no such config', oddity: { kind: 'wrong-config' }, code: 'image-invalid' },
    { name: 'bytes that are no such layer', oddity: { kind: 'wrong-layer' }, code: 'image-invalid' },
    { name: 'bytes that are no such manifest', oddity: { kind: 'wrong-manifest' }, code: 'image-invalid' },
    {
      name: 'half a layer and then nothing',
      oddity: { kind: 'stalls', afterBytes: 100_000 },
      code: 'no-progress'
    }
  ] as const
  for (const [index, { name, oddity, code }] of oddities.entries()) {
    await t.test(`a registry that answers with ${name} leaves it to the next`, async (t) => {
      const layer = { type: 'file' as const, path: 'data', content: randomBytes(2 * 1024 * 1024) }
      const image = await push(`odd${index}`, makeImage([[layer]], { Cmd: ['/none'] }))
      odd.oddity = oddity
      const fresh = scene.beside(t, {})
      const command = fresh.command(`odd${index}`, {
        ...stageBody(1, spec, oddly(image)),
        sources: [registry, mirror]
      })
      const staged = await fresh.run(command)
      t.match(
        staged.outcome,
        { status: 'succeeded', result: { source: mirror, failedSources: [{ source: registry, code }] } },
        JSON.stringify(staged)
      )
      t.ok(odd.asked.length > 0)
      const resolve = {
        kind: 'resolve',
        image: { repository: `${odd.name}/web`, tag: `odd${index}`, digest: null }
      }
      const found = await fresh.run(fresh.command(`odd${index}`, { ...resolve, sources: [registry, mirror] }))
      t.match(found.outcome, { status: 'succeeded', result: { digest: image.digest } }, JSON.stringify(found))
      odd.oddity = { kind: 'none' }
    })
  }

  await t.test('a source that failed is tried last by the runs that follow', async (t) => {
    odd.oddity = { kind: 'status', status: 500 }
    const fresh = scene.beside(t, {})
    const asks = async (service: string, image: Pushed) => {
      odd.asked.length = 0
      const body = { ...stageBody(1, spec, oddly(image)), sources: [registry, mirror] }
      await fresh.run(fresh.command(service, body))
      return odd.asked.length > 0
    }
    t.ok(await asks('first', await push('f1')))
    t.notOk(await asks('second', await push('f2')), 'the mirror had it')
    odd.oddity = { kind: 'none' }
  })
})
