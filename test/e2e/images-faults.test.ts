// What dies while hosts fetch an image: the registry before, in the middle of a layer and after all have it, the
// controller in the middle of a pull through it, and in the end everything. Each deployment goes on with the next source,
// and both hosts run the same image.
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Image, savedArchive } from '../../scripts/hosts/image.ts'
import { type DeployDocument, type Fleet, startFleet } from '../support/fleet.ts'
import { pushImage, registryClient } from '../support/image-samples.ts'
import { makeWebImage } from '../support/images.ts'
import { startOddRegistry } from '../support/odd-registry.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

const megabyte = 1024 * 1024
type Sourced = DeployDocument & {
  targets: { source?: string | null; failedSources?: { source: string; code: string }[] }[]
}

class ImagesScene {
  readonly fleet: Fleet
  readonly #folder: string

  constructor(fleet: Fleet, folder: string) {
    this.fleet = fleet
    this.#folder = folder
  }

  /** To the controller, by the command line, from an archive. */
  async push(tag: string, image: Image): Promise<void> {
    const { controller, registry } = this.fleet
    const name = `${registry.name}/web:${tag}`
    const file = join(this.#folder, `${tag}.tar`)
    writeFileSync(file, savedArchive(name, image))
    const { exitCode, stderr } = await controller.cli('push', '--archive', file)
    if (exitCode !== 0) throw new Error(stderr)
  }

  /** Both hosts answer it, by containers of one and the same image. */
  async expectServed(t: Test, tag: string): Promise<void> {
    const { fleet } = this
    t.same(await fleet.pages(), [tag, tag])
    const configs = await Promise.all(
      fleet.hosts.map(async ({ engine }) => {
        const running = await engine.client.get<{ ImageID: string }[]>('/containers/json')
        return running.map(({ ImageID }) => ImageID)
      })
    )
    t.equal(new Set(configs.flat()).size, 1, `the same image: ${configs.flat().join(', ')}`)
  }

  /** Starts a deployment whose lines can be waited for. */
  begin(tag: string, ...more: string[]) {
    const { controller } = this.fleet
    return controller.startCli('deploy', 'web', '--env', 'test', '--tag', tag, '--output', 'ndjson', ...more)
  }
}

const resultOf = (output: string): Sourced =>
  JSON.parse(output.split('\n').findLast((line) => line.includes('"type":"result"')) ?? '{}') as Sourced

/** Larger than what a connection has under way. */
const largeImage = (tag: string, megabytes: number): Image =>
  makeWebImage(tag, 'healthy', [
    { type: 'file', path: 'ballast', content: randomBytes(megabytes * megabyte) }
  ])

const beforeStaging = async (t: Test, scene: ImagesScene): Promise<void> => {
  const { fleet } = scene
  await scene.push('v2', makeWebImage('v2'))
  await fleet.registry.stop()
  const deployed = await fleet.deploy('v2')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded' } }, deployed.stderr)
  const source = { source: 'artifact', failedSources: [{ source: 'registry', code: 'registry-unavailable' }] }
  t.match(deployed.document, { targets: [source, source] })
  await scene.expectServed(t, 'v2')
  await fleet.registry.start()
}

const inTheMiddle = async (t: Test, scene: ImagesScene): Promise<void> => {
  const { fleet } = scene
  const image = largeImage('v3', 4)
  await fleet.registry.push('web', 'v3', image)
  const [address = ''] = fleet.registry.name.split(':')
  const odd = await startOddRegistry(t, address, 5013, fleet.registry.name)
  await fleet.apply({ image: `${odd.name}/web`, 'x-longshore': { sources: ['registry', 'artifact'] } })
  const { controller } = fleet
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  await pushImage(client, `${odd.name}/web`, 'v3', image)
  odd.oddity = { kind: 'stalls', afterBytes: megabyte }
  const waiting = await scene.begin('v3')
  await waitUntil('a layer to be asked for', () => odd.stalled >= 2)
  odd.end()
  await waiting.ended
  const result = resultOf(waiting.output)
  t.match(result, { outcome: 'succeeded' }, waiting.output)
  t.match(result.targets, [{ source: 'artifact' }, { source: 'artifact' }], JSON.stringify(result.targets))
  await scene.expectServed(t, 'v3')
}

/** Nothing is fetched any more once the first host has switched. */
const afterStaging = async (t: Test, scene: ImagesScene): Promise<void> => {
  const { fleet } = scene
  await fleet.apply({ 'x-longshore': { sources: ['registry'] } })
  await fleet.push('v4')
  const waiting = await scene.begin('v4')
  await waiting.waitForLine(/"state":"releasing"/)
  await fleet.registry.stop()
  const { exitCode } = await waiting.ended
  t.equal(exitCode, 0, waiting.output)
  await scene.expectServed(t, 'v4')
}

const controllerDies = async (t: Test, scene: ImagesScene): Promise<void> => {
  const { controller } = scene.fleet
  await scene.fleet.apply({ 'x-longshore': { sources: ['artifact'] } })
  await scene.push('v5', largeImage('v5', 48))
  const waiting = await scene.begin('v5')
  await waiting.waitForLine(/pulling from artifact/)
  await controller.kill()
  await controller.start()
  await waiting.ended
  const { document } = await controller.cliJson<Sourced[]>('deployments', '--env', 'test')
  const id = document[0]?.id ?? ''
  const attached = await controller.cliJson<Sourced>('attach', id)
  t.match(attached, { exitCode: 0, document: { outcome: 'succeeded' } }, attached.stderr)
  t.match(attached.document.targets, [{ source: 'artifact' }, { source: 'artifact' }])
  await scene.expectServed(t, 'v5')
}

const everythingIsDown = async (t: Test, scene: ImagesScene): Promise<void> => {
  const { controller } = scene.fleet
  const back = await controller.cliJson<Sourced>('rollback', 'web', '--env', 'test')
  t.match(back, { exitCode: 0, document: { targets: [{ source: null }, { source: null }] } }, back.stderr)
  await scene.expectServed(t, 'v4')
}

testOnRealParts(t, 'images arrive whoever dies meanwhile', async (t) => {
  const fleet = await startFleet(t, 2)
  const scene = new ImagesScene(fleet, makeTestFolder(t))
  await fleet.apply({ 'x-longshore': { sources: ['registry', 'artifact'] } })
  await fleet.push('v1')
  t.match(await fleet.deploy('v1'), { exitCode: 0 })
  await t.test('the registry is down before anything is staged', (t) => beforeStaging(t, scene))
  await t.test('the registry dies in the middle of a layer', (t) => inTheMiddle(t, scene))
  await t.test('the registry dies once all have staged', (t) => afterStaging(t, scene))
  await t.test('the controller is killed while hosts fetch from it', (t) => controllerDies(t, scene))
  await t.test('with every registry down a rollback needs none', (t) => everythingIsDown(t, scene))
})
