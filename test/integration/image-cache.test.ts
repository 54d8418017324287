// An image of a real registry (Debian's docker-registry) is fetched once and is there when that registry is gone.
import { digest } from '@longshore/protocol'
import t from 'tap'
import { createUpstream } from '../../packages/controller/src/adapters/upstream/fetch-images.ts'
import { createImageCache } from '../../packages/controller/src/engine/cache-images.ts'
import { makeImage } from '../support/images.ts'
import { testOnRealParts } from '../support/real-parts.ts'
import { startTestRegistry } from '../support/registry.ts'
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
