// What people see of where images came from, and of what hosts hold.
import t from 'tap'
import type { DeploymentView, HostImages } from '../../../packages/controller/src/api/schemas.ts'
import {
  describeFailedSources,
  describeSource,
  hasOtherSources
} from '../../../packages/controller/src/cli/describe-sources.ts'
import { renderImages } from '../../../packages/controller/src/cli/render-images.ts'

const viewOf = (targets: object[]) =>
  ({ services: [{ service: 'web' }], targets }) as unknown as DeploymentView
const failure = { source: 'registry', code: 'registry-unavailable', detail: 'connection refused' }

t.test('a source is worth a column where it is not the registry in the name', async (t) => {
  t.notOk(hasOtherSources(viewOf([{ source: 'registry' }, { source: null }, {}])))
  t.ok(hasOtherSources(viewOf([{ source: 'registry' }, { source: 'artifact' }])))
  t.equal(describeSource({ source: 'mirror:mirror.test' }), 'mirror:mirror.test')
  t.equal(describeSource({ source: null }), 'on the host')
  t.equal(describeSource({}), '')
})

t.test('a source that failed is told once, with the hosts that met it', async (t) => {
  const hosts = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((host) => ({
    service: 'web',
    host,
    source: 'artifact',
    failedSources: [failure]
  }))
  const refused = { service: 'web', host: 'h', failedSources: [failure] }
  const quick = { service: 'web', host: 'i', source: 'artifact' }
  t.same(describeFailedSources(viewOf([...hosts, refused, quick])), [
    'registry did not give the image to a, b, c, d, e and 2 more: connection refused'
  ])
  t.same(describeFailedSources(viewOf([{ ...refused }])), [], 'where none served, the reason says it all')
})

t.test('images stand in a line each, and hosts that say nothing are named', async (t) => {
  const host = { environment: 'staging', isConnected: true, diskFreeBytes: 5e9, diskTotalBytes: 2e10 }
  const image = {
    service: 'web',
    releases: [7, 6],
    digest: `sha256:${'ab'.repeat(32)}`,
    sizeBytes: 12_000_000
  }
  const lines = renderImages([
    { ...host, host: 'a', images: [image, { ...image, releases: [5], digest: null }] },
    { ...host, host: 'b', images: [] },
    { ...host, host: 'c', diskFreeBytes: null, images: null }
  ] as unknown as HostImages[]).split('\n')
  t.match(lines[0], /HOST +ENVIRONMENT +SERVICE +RELEASES +DIGEST +SIZE +DISK FREE/)
  t.match(
    lines[1],
    /a +staging +web +7, 6 +sha256:abababababab +12\.0 MB +5\.0 GB of 20\.0 GB|a +staging +web +7, 6 +sha256:abab/
  )
  t.match(lines[2], /a +staging +web +5 +- /)
  t.match(lines[3], /b +staging +- /)
  t.match(lines[4], /c +staging +not told +-$/)
  t.match(renderImages([]), /no hosts/)
})
