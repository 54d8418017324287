// The rules of the image store: paths, ranges, manifests, what is garbage, and the table of its errors.
import { readFileSync } from 'node:fs'
import { digest } from '@longshore/protocol'
import t from 'tap'
import { findGarbage } from '../../../../packages/controller/src/core/images/find-garbage.ts'
import { ImageError, imageErrors } from '../../../../packages/controller/src/core/images/image-error.ts'
import { readImagePath } from '../../../../packages/controller/src/core/images/image-path.ts'
import {
  formatUploadRange,
  readContentRange,
  readRange
} from '../../../../packages/controller/src/core/images/ranges.ts'
import {
  blobsOf,
  readImageConfig,
  readManifest
} from '../../../../packages/controller/src/core/images/read-manifest.ts'
import { digestOf, sampleImage } from '../../../support/image-samples.ts'

const a = digest.parse(digestOf('a'))
const b = digest.parse(digestOf('b'))
const c = digest.parse(digestOf('c'))
const codeOf = (work: () => unknown): string | undefined => {
  try {
    work()
    return undefined
  } catch (error) {
    if (error instanceof ImageError) return error.code
    throw error
  }
}

t.test('a path is read from its end, whatever the repository is called', async (t) => {
  const hub = 'docker.io/library/api'
  const paths: [string, object][] = [
    [`api/blobs/${a}`, { kind: 'blob', repository: hub, digest: a }],
    ['api/blobs/uploads', { kind: 'uploads', repository: hub }],
    ['api/blobs/uploads/', { kind: 'uploads', repository: hub }],
    ['api/blobs/uploads/x-1', { kind: 'upload', repository: hub, upload: 'x-1' }],
    ['api/manifests/1.0', { kind: 'manifest', repository: hub, reference: { by: 'tag', tag: '1.0' } }],
    [`api/manifests/${a}`, { kind: 'manifest', repository: hub, reference: { by: 'digest', digest: a } }],
    ['r.example/tags/list/tags/list', { kind: 'tags', repository: 'r.example/tags/list' }],
    [`r.example/blobs/uploads/blobs/${a}`, { kind: 'blob', repository: 'r.example/blobs/uploads', digest: a }]
  ]
  for (const [path, read] of paths) t.same(readImagePath(path), read, path)
  const refused: [string, string][] = [
    ['Api/manifests/1', 'NAME_INVALID'],
    ['a/../b/manifests/1', 'NAME_INVALID'],
    ['a//b/manifests/1', 'NAME_INVALID'],
    [`${'a'.repeat(600)}/manifests/1`, 'NAME_INVALID'],
    ['api/blobs/sha256:ab', 'DIGEST_INVALID'],
    [`api/manifests/sha512:${'a'.repeat(128)}`, 'DIGEST_INVALID'],
    ['api/manifests/.1', 'MANIFEST_INVALID'],
    ['api/manifests/', 'MANIFEST_INVALID'],
    [`api/referrers/${a}`, 'MANIFEST_UNKNOWN'],
    ['api/tags/other', 'UNSUPPORTED'],
    ['manifests/1', 'UNSUPPORTED'],
    ['_catalog', 'UNSUPPORTED']
  ]
  for (const [path, code] of refused)
    t.equal(
      codeOf(() => readImagePath(path)),
      code,
      path
    )
})

t.test('ranges are read as HTTP means them, pieces as registries do', async (t) => {
  t.same(readRange(undefined, 10), null)
  t.same(readRange('lines=1-2', 10), null)
  t.same(readRange('bytes=2-3', 10), { first: 2, last: 3 })
  t.same(readRange('bytes=2-', 10), { first: 2, last: 9 })
  t.same(readRange('bytes=2-99', 10), { first: 2, last: 9 })
  t.same(readRange('bytes=-3', 10), { first: 7, last: 9 })
  t.same(readRange('bytes=-30', 10), { first: 0, last: 9 })
  for (const header of ['bytes=10-', 'bytes=3-2', 'bytes=-0'])
    t.equal(
      codeOf(() => readRange(header, 10)),
      'RANGE_INVALID',
      header
    )
  t.equal(readContentRange(undefined), null)
  t.equal(readContentRange('5-9'), 5)
  t.equal(readContentRange('bytes 5-9/*'), 5)
  for (const header of ['5', '9-5', 'x-y'])
    t.equal(
      codeOf(() => readContentRange(header)),
      'BLOB_UPLOAD_INVALID'
    )
  t.same([0, 1, 2].map(formatUploadRange), ['0-0', '0-0', '0-1'])
})

t.test('a manifest says which blobs it needs, without layers that lie elsewhere', async (t) => {
  const image = sampleImage(['x', 'y', 'x'])
  const read = readManifest(`${image.mediaType}; charset=utf-8`, image.manifest.toString())
  if (read.kind !== 'image') throw new Error('not an image')
  t.same(
    [...blobsOf(read)],
    [
      [image.configDigest, image.config.length],
      [digestOf('x'), 1],
      [digestOf('y'), 1]
    ]
  )
  const foreign = {
    mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    digest: a,
    size: 1,
    urls: ['https://x.example']
  }
  t.same([...blobsOf({ ...read, layers: [foreign] }).keys()], [image.configDigest])
  const bad: [string, string][] = [
    ['application/vnd.docker.distribution.manifest.v1+prettyjws', '{}'],
    ['', image.manifest.toString()],
    [image.mediaType, 'not JSON'],
    [image.mediaType, '{"schemaVersion":2}'],
    [image.mediaType, image.manifest.toString().replace('sha256:', 'sha1:')],
    ['application/vnd.oci.image.manifest.v1+json', image.manifest.toString()]
  ]
  for (const [type, text] of bad)
    t.equal(
      codeOf(() => readManifest(type, text)),
      'MANIFEST_INVALID',
      `${type} ${text.slice(0, 20)}`
    )
  t.equal(readImageConfig('{}'), undefined)
  t.match(readImageConfig(image.config.toString()), { os: 'linux', architecture: 'amd64', variant: '' })
})

t.test(
  'garbage is what no tag, no kept release and no index that stays needs, and is not young',
  async (t) => {
    const of = (digest: typeof a, createdAtMs = 0, repository = 'r') => ({ repository, digest, createdAtMs })
    const none = { manifests: [], children: [], tagged: [], kept: [] }
    const child = { repository: 'r', manifest: a, child: b }
    const named = (held: { digest: string }[]) => held.map(({ digest }) => digest)
    const manifests = [of(a), of(b), of(c)]
    t.same(named(findGarbage({ ...none, manifests }, 1)), [a, b, c])
    t.same(named(findGarbage({ ...none, manifests, children: [child], tagged: [of(a)] }, 1)), [c])
    t.same(named(findGarbage({ ...none, manifests, children: [child], kept: [of(a), of(c)] }, 1)), [])
    t.same(named(findGarbage({ ...none, manifests: [of(a, 5), of(b), of(c)], children: [child] }, 5)), [c])
    t.same(findGarbage({ ...none, manifests: [of(a), of(a, 0, 'other')], tagged: [of(a)] }, 1), [
      { repository: 'other', digest: a }
    ])
  }
)

t.test('docs/errors.md has every code of the image store once', async (t) => {
  const text = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8')
  const section = text.split('\n## ').find((part) => part.startsWith('Image codes\n')) ?? ''
  const rows = section.split('\n').filter((line) => line.startsWith('| `'))
  t.same(
    rows.map((row) => row.split('`')[1]).sort(),
    Object.keys(imageErrors).sort((x, y) => (x < y ? -1 : 1))
  )
})
