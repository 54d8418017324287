// Images arrive although the registry is down: real programs, real engines, and what only the controller has reaches the
// hosts by way of their agents. What the CLI claims is checked over HTTP.
import { randomBytes } from 'node:crypto'
import t, { type Test } from 'tap'
import { type Certificate, makeAuthority } from '../support/authority.ts'
import { postWithLogin } from '../support/engine-login.ts'
import { type Fleet, startFleet } from '../support/fleet.ts'
import { pushImage, registryClient } from '../support/image-samples.ts'
import { loadImage, makeWebImage } from '../support/images.ts'
import { type OddRegistry, startOddRegistry } from '../support/odd-registry.ts'
import { runCli } from '../support/processes.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type Sourced = { targets: { source?: string | null; failedSources?: { source: string; code: string }[] }[] }
type Held = { host: string; images: { service: string; releases: number[]; digest: string | null }[] | null }
type Pushed = { digest: string; configDigest: string }

const sources = ['registry', 'artifact']
const byArtifact = {
  source: 'artifact',
  failedSources: [{ source: 'registry', code: 'registry-unavailable' }]
}

/** The registry as a controller reaches it: over TLS. */
const openRegistry = (t: Test, { registry }: Fleet, certificate: Certificate): Promise<OddRegistry> => {
  const [address = ''] = registry.name.split(':')
  return startOddRegistry(t, address, 5020, registry.name, certificate)
}

/**
 * On an engine that forgets it then: `docker push` to the registry, unless that is down, and `longshore push`.
 * @returns what the containers of it are made of, and under which digest the controller has it
 */
const buildAndPush = async (fleet: Fleet, repository: string, tag: string, isAlsoInRegistry: boolean) => {
  const { controller, hosts, registry } = fleet
  const [host] = hosts
  if (host === undefined) throw new Error('a fleet has hosts')
  const { client, dockerHost } = host.engine
  const ballast = { type: 'file' as const, path: 'ballast', content: randomBytes(100_000) }
  const image = makeWebImage(tag, 'healthy', [ballast])
  await loadImage(client, `${repository}:${tag}`, image)
  if (isAlsoInRegistry) {
    await client.post(`/images/${repository}:${tag}/tag?repo=${registry.name}/web&tag=${tag}`)
    const told = await postWithLogin(client, `/images/${registry.name}/web/push?tag=${tag}`, null)
    if (told.includes('errorDetail')) throw new Error(told)
  }
  const env = { LONGSHORE_URL: controller.url, LONGSHORE_TOKEN: controller.token, DOCKER_HOST: dockerHost }
  const pushed = await runCli(['push', `${repository}:${tag}`, '--output', 'json'], env)
  if (pushed.exitCode !== 0) throw new Error(pushed.stderr)
  await client.delete(`/images/${image.config.digest}?force=true`)
  return { config: image.config.digest, digest: (JSON.parse(pushed.stdout) as Pushed).digest }
}

/** What the containers of each host are made of. */
const imagesOf = ({ hosts }: Fleet): Promise<string[]> =>
  Promise.all(
    hosts.map(async ({ engine }) => {
      const running = await engine.client.get<{ ImageID: string }[]>('/containers/json')
      return running.map(({ ImageID }) => ImageID).join()
    })
  )

const withoutRegistry = async (t: Test, fleet: Fleet): Promise<void> => {
  const { controller, registry } = fleet
  await fleet.apply({ 'x-longshore': { sources } })
  const v1 = await fleet.push('v1')
  t.match(await fleet.deploy('v1'), { exitCode: 0, document: { digest: v1 } })
  t.same(await fleet.pages(), ['v1', 'v1'])

  await registry.stop()
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  const v2 = await pushImage(client, `${registry.name}/web`, 'v2', makeWebImage('v2'))

  const deployed = await fleet.deploy('v2')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded', digest: v2 } }, deployed.stderr)
  const { targets } = deployed.document as unknown as Sourced
  t.match(targets, [byArtifact, byArtifact], JSON.stringify(targets))
  t.same(await fleet.pages(), ['v2', 'v2'])

  const back = await controller.cliJson<Sourced>('rollback', 'web', '--env', 'test')
  t.equal(back.exitCode, 0, back.stderr)
  t.match(back.document.targets, [{ source: null }, { source: null }], 'it is on the hosts')
  t.same(await fleet.pages(), ['v1', 'v1'])

  await waitUntil('both hosts to tell what they hold', async () => {
    const { document } = await controller.cliJson<Held[]>('images', '--env', 'test')
    return document.every(({ images }) =>
      [v1, v2].every((digest) => images?.some((one) => one.service === 'web' && one.digest === digest))
    )
  })
  await registry.start()
}

/** The release pins what the registry said; the controller has the image under another digest. */
const betweenResolveAndPull = async (t: Test, fleet: Fleet, odd: OddRegistry): Promise<void> => {
  const image = `${odd.name}/web`
  await fleet.apply({ image, 'x-longshore': { sources } })
  const v3 = await buildAndPush(fleet, image, 'v3', true)
  odd.oddity = { kind: 'ends-at-pull' }
  const deployed = await fleet.deploy('v3')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded' } }, deployed.stderr)
  const { document } = deployed
  t.not(document.digest, v3.digest, 'what runs is what the registry said')
  // an engine in the middle of a pull tries again until it is given up
  const served = { source: 'artifact', failedSources: [{ source: 'registry' }] }
  t.match(document.targets, [served, served], JSON.stringify(document.targets))
  t.same(await fleet.pages(), ['v3', 'v3'])
  t.same(await imagesOf(fleet), [v3.config, v3.config], 'the same image on all hosts')

  const [host] = fleet.hosts
  const back = await fleet.controller.cliJson<Sourced>('rollback', 'web', '--env', 'test')
  t.equal(back.exitCode, 0, back.stderr)
  for (const path of [`/images/longshore/web:test-r3?force=true`, `/images/${v3.config}?force=true`])
    await host?.engine.client.delete(path).catch(() => {})
  const again = await fleet.controller.cliJson<Sourced>('rollback', 'web', '--env', 'test', '--release', '3')
  t.equal(again.exitCode, 0, again.stderr)
  t.match(again.document.targets, [{ source: 'artifact' }, { source: null }], 'a rollback knows it, too')
  t.same(await imagesOf(fleet), [v3.config, v3.config])
}

/** One pull for all hosts, those too that come when the registry is gone. */
const cached = async (t: Test, fleet: Fleet, odd: OddRegistry): Promise<void> => {
  const [spare] = fleet.spares
  if (spare === undefined) throw new Error('the fleet has no spare host')
  await fleet.apply({ image: `${odd.name}/web`, 'x-longshore': { cache: true } })
  const digest = await fleet.push('v4')
  odd.asked.length = 0
  const deployed = await fleet.deploy('v4')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded', digest } }, deployed.stderr)
  t.match(deployed.document.targets, [{ source: 'artifact' }, { source: 'artifact' }])
  const layers = makeWebImage('v4').layers.map(({ digest }) => digest)
  const pulls = odd.asked.filter((line) => layers.some((layer) => line.endsWith(layer)))
  odd.end()
  await fleet.join(spare, 'test')
  await waitUntil('the new host to serve', async () => {
    const answer = await fetch(`http://${spare.address}:80/`).catch(() => undefined)
    return (await answer?.text())?.trim() === 'v4'
  })
  t.ok(pulls.length > 0, 'what the controller has is not fetched again, but the page is new')
  t.equal(new Set(pulls).size, pulls.length, odd.asked.join('\n'))
}

const pushedAndDeployed = async (t: Test, fleet: Fleet, odd: OddRegistry): Promise<void> => {
  const image = `${odd.name}/web`
  await fleet.apply({ image })
  const v5 = await buildAndPush(fleet, image, 'v5', false)
  const deployed = await fleet.deploy('v5')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded', digest: v5.digest } }, deployed.stderr)
  t.same(await fleet.pages(), ['v5', 'v5'])
  t.same(await imagesOf(fleet), [v5.config, v5.config])
}

testOnRealParts(t, 'images arrive although the registry is down', async (t) => {
  let certificate: Certificate | undefined
  const fleet = await startFleet(t, 2, {
    spares: 1,
    controllerEnv: async (address) => {
      const authority = await makeAuthority(makeTestFolder(t), address)
      certificate = await authority.certify('registry')
      return { LONGSHORE_CA_FILE: authority.caFile }
    }
  })
  if (certificate === undefined) throw new Error('there is no certificate')
  const given = certificate
  await t.test('a deployment and its rollback need no registry', (t) => withoutRegistry(t, fleet))
  await t.test('the registry dies once it has said which image the tag is', async (t) =>
    betweenResolveAndPull(t, fleet, await openRegistry(t, fleet, given))
  )
  await t.test('an image that the controller fetched costs the registry one pull for all hosts', async (t) =>
    cached(t, fleet, await openRegistry(t, fleet, given))
  )
  await t.test('what an engine pushed to the controller is deployed without the registry', async (t) => {
    const odd = await openRegistry(t, fleet, given)
    odd.end()
    await pushedAndDeployed(t, fleet, odd)
  })
})
