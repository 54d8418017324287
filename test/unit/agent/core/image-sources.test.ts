// Which image is the wanted one, in which order sources are tried, which of them the host allows, and what an engine may
// ask at the agent's door.
import { readFileSync } from 'node:fs'
import { type ImageSource, imageContent, digest as readDigest } from '@longshore/protocol'
import t from 'tap'
import { readImage } from '../../../../packages/agent/src/adapters/docker/read.ts'
import {
  controllerPath,
  doorKey,
  doorRepository,
  isDoorName
} from '../../../../packages/agent/src/core/door-path.ts'
import { isSameImage } from '../../../../packages/agent/src/core/image-match.ts'
import {
  isLeftForNext,
  isTroubled,
  orderSources,
  sourceKey,
  summarise,
  triedLastMs
} from '../../../../packages/agent/src/core/image-sources.ts'
import { ownImages } from '../../../../packages/agent/src/core/own-images.ts'
import { hostPolicy } from '../../../../packages/agent/src/core/policy.ts'
import { splitSources } from '../../../../packages/agent/src/core/source-policy.ts'

const registry: ImageSource = { kind: 'registry' }
const artifact: ImageSource = { kind: 'artifact' }
const mirror: ImageSource = { kind: 'mirror', at: 'mirror.test/hub' }

const file = JSON.parse(readFileSync(new URL('../../../vectors/images.json', import.meta.url), 'utf8'))
const wanted = {
  digest: readDigest.parse(file.wanted.digest),
  contents: imageContent.array().parse(file.wanted.contents)
}
for (const { name, isSame, inspect } of file.vectors) {
  t.test(`${isSame ? 'takes' : 'does not take'} for the image: ${name}`, async (t) => {
    t.equal(isSameImage(readImage(inspect), wanted), isSame)
  })
}

t.test('tries a source that failed last, for a while', async (t) => {
  const sources = [registry, mirror, artifact]
  const order = (failedAt: [ImageSource, number][], nowMs: number, repository = 'registry.test/web') =>
    orderSources(
      sources,
      repository,
      new Map(failedAt.map(([source, atMs]) => [sourceKey(source, 'registry.test/web'), atMs])),
      nowMs
    )
  t.same(order([], 0), sources)
  t.same(order([[registry, 100]], 200), [mirror, artifact, registry])
  t.same(order([[registry, 100]], 100 + triedLastMs), sources, 'until it is over')
  t.same(
    order(
      [
        [registry, 100],
        [mirror, 50]
      ],
      200
    ),
    [artifact, registry, mirror],
    'those that failed keep their order'
  )
  t.same(order([[registry, 100]], 200, 'registry.test/other'), [mirror, artifact, registry])
  t.same(order([[registry, 100]], 200, 'elsewhere.test/web'), sources, 'another registry is not down for it')
  t.same(order([[registry, 100]], 200, 'web'), sources)
})

t.test('leaves to the next source what is the fault of one', async (t) => {
  for (const code of [
    'image-not-found',
    'registry-denied',
    'registry-unavailable',
    'image-invalid',
    'no-progress'
  ] as const)
    t.ok(isLeftForNext(code), code)
  for (const code of ['disk-full', 'engine-unavailable', 'interrupted'] as const)
    t.notOk(isLeftForNext(code), code)
  t.ok(isTroubled('registry-unavailable'))
  t.ok(isTroubled('image-invalid'))
  t.notOk(isTroubled('image-not-found'), 'one image that is missing says nothing of the others')
})

t.test('says of several failures the one that is worth looking into', async (t) => {
  const failure = (source: ImageSource, code: 'image-not-found' | 'no-progress', detail: string) => ({
    source,
    code,
    detail
  })
  t.same(summarise([failure(registry, 'no-progress', 'it hangs')]), {
    code: 'no-progress',
    detail: 'it hangs'
  })
  t.same(
    summarise([failure(artifact, 'image-not-found', 'none'), failure(mirror, 'no-progress', 'it hangs')]),
    {
      code: 'no-progress',
      detail: 'no source has given it; artifact: none; mirror:mirror.test/hub: it hangs'
    }
  )
})

t.test('a policy that names repositories says where images come from too', async (t) => {
  const allowedBy = (policy: object) =>
    splitSources({ kind: 'active', policy: hostPolicy.parse(policy) }, 'registry.test/web', [
      registry,
      mirror,
      artifact
    ])
  t.same(splitSources({ kind: 'absent' }, 'registry.test/web', [registry, artifact]).allowed, [
    registry,
    artifact
  ])
  t.same(allowedBy({}).allowed, [registry, mirror, artifact], 'without a list of repositories')
  const strict = allowedBy({ repositories: ['registry.test/*'] })
  t.same(strict.allowed, [registry])
  t.match(strict.refused, [
    { source: mirror, code: 'policy', detail: /mirror.test\/hub\/web/ },
    { source: artifact, code: 'policy', detail: /controller's store/ }
  ])
  t.same(
    allowedBy({ repositories: ['registry.test/*', 'mirror.test/*'], allow: { artifacts: true } }).allowed,
    [registry, mirror, artifact]
  )
})

t.test('lets through only what a run pulls, and only to be read', async (t) => {
  const key = doorKey(new Uint8Array(16).fill(7))
  const open = new Map([[key, 'registry.test/web']])
  const at = (path: string, method = 'GET') => controllerPath(method, path, open)
  const manifest = `manifests/sha256:${'ab'.repeat(32)}`
  t.equal(at('/v2/'), '/v2/')
  t.equal(at(`/v2/${key}/registry.test/web/${manifest}`), `/v2/registry.test/web/${manifest}`)
  t.equal(at(`/v2/${key}/registry.test/web/blobs/sha256:aa`, 'HEAD'), '/v2/registry.test/web/blobs/sha256:aa')
  for (const [path, method] of [
    [`/v2/${key}/registry.test/web/${manifest}`, 'PUT'],
    [`/v2/${key}/registry.test/web/${manifest}`, 'DELETE'],
    [`/v2/registry.test/web/${manifest}`, 'GET'],
    [`/v2/${key}/registry.test/other/${manifest}`, 'GET'],
    [`/v2/${key}/registry.test/web/blobs/uploads/`, 'GET'],
    [`/v2/${key}/registry.test/web/tags/list`, 'GET'],
    [`/v2/${key}/registry.test/web/blobs/../../../v1/agents`, 'GET'],
    [`/v2/${key}/registry.test/web/blobs/%2e%2e`, 'GET'],
    ['/v2/_catalog', 'GET'],
    ['/v1/agents', 'GET']
  ] as const)
    t.equal(at(path, method), undefined, `${method} ${path}`)
  const name = doorRepository(4711, key, 'registry.test/web')
  t.equal(name, `127.0.0.1:4711/${key}/registry.test/web`)
  t.ok(isDoorName(`${name}@sha256:aa`))
  t.notOk(isDoorName('127.0.0.1:5000/web@sha256:aa'), "an operator's own registry")
  t.notOk(isDoorName('longshore/web:production-r1'))
})

t.test('tells which images are kept for releases, under the digest that was asked for', async (t) => {
  const services = [
    { environment: 'production', service: 'web' },
    { environment: 'production', service: 'api' }
  ] as unknown as Parameters<typeof ownImages>[1]
  const other = `sha256:${'e'.repeat(64)}`
  const listed = [
    { id: 'older', repoTags: ['longshore/web:production-r9'], repoDigests: [], sizeBytes: 8 },
    {
      id: 'one',
      repoTags: ['longshore/web:production-r2', 'longshore/web:production-r10'],
      repoDigests: [],
      sizeBytes: 5
    },
    {
      id: 'two',
      repoTags: ['longshore/api:production-r1'],
      repoDigests: [`registry.test/api@${other}`],
      sizeBytes: 6
    },
    {
      id: 'three',
      repoTags: ['longshore/web:staging-r1', 'longshore/old:production-r1'],
      repoDigests: [],
      sizeBytes: 7
    }
  ]
  t.match(
    ownImages(listed, services, (id) => (id === 'one' ? wanted.digest : undefined)),
    [
      { service: 'api', releases: [1], digest: other, sizeBytes: 6 },
      { service: 'web', releases: [10, 2], digest: wanted.digest, sizeBytes: 5 },
      { service: 'web', releases: [9], digest: null, sizeBytes: 8 }
    ]
  )
})
