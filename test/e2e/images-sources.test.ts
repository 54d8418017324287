// Images arrive although the registry is down: real programs, real engines, and what only the controller has reaches the
// hosts by way of their agents. What the CLI claims is checked over HTTP.
import t from 'tap'
import { startFleet } from '../support/fleet.ts'
import { pushImage, registryClient } from '../support/image-samples.ts'
import { makeWebImage } from '../support/images.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

type Sourced = { targets: { source?: string | null; failedSources?: { source: string; code: string }[] }[] }
type Held = { host: string; images: { service: string; releases: number[]; digest: string | null }[] | null }

testOnRealParts(t, 'a deployment and its rollback need no registry', async (t) => {
  const fleet = await startFleet(t, 2)
  const { controller, registry } = fleet
  await fleet.apply({ 'x-longshore': { sources: ['registry', 'artifact'] } })
  const v1 = await fleet.push('v1')
  t.match(await fleet.deploy('v1'), { exitCode: 0, document: { digest: v1 } })
  t.same(await fleet.pages(), ['v1', 'v1'])

  await registry.stop()
  const client = registryClient(() => controller.url, `Bearer ${controller.token}`)
  const v2 = await pushImage(client, `${registry.name}/web`, 'v2', makeWebImage('v2'))

  const deployed = await fleet.deploy('v2')
  t.match(deployed, { exitCode: 0, document: { outcome: 'succeeded', digest: v2 } }, deployed.stderr)
  const { targets } = deployed.document as unknown as Sourced
  const source = { source: 'artifact', failedSources: [{ source: 'registry', code: 'registry-unavailable' }] }
  t.match(targets, [source, source], JSON.stringify(targets))
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
})
