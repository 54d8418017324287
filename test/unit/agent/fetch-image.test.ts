// An image comes from the first source that has it, is verified before it counts, and keeps no name of the place it
// came from; what failed is told.
import { type ImageContent, type ImageSource, digest as readDigest } from '@longshore/protocol'
import t from 'tap'
import type { SeenImage } from '../../../packages/agent/src/core/image-match.ts'
import type { FetchPlan, Step } from '../../../packages/agent/src/core/steps.ts'
import { EngineError, type EngineErrorCode } from '../../../packages/agent/src/engine-error.ts'
import { executeStep } from '../../../packages/agent/src/executor.ts'
import type { ArtifactDoor, Engine, Runtime } from '../../../packages/agent/src/ports.ts'
import { preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

const digestOf = (letter: string) => readDigest.parse(`sha256:${letter.repeat(64)}`)
const wanted = digestOf('d')
const registry: ImageSource = { kind: 'registry' }
const artifact: ImageSource = { kind: 'artifact' }
const mirror: ImageSource = { kind: 'mirror', at: 'mirror.test' }
const own = { repository: 'longshore/web', tag: 'production-r3' }
const content: ImageContent = { platform: 'linux/amd64', config: digestOf('c'), diffIds: [digestOf('1')] }

/** What a place answers for the wanted digest: an image by its id, or an error. */
type Place = { byDigest?: Record<string, string>; tag?: string; fails?: EngineErrorCode }

/** The classic store: images by id, with the names that they have. */
class FakeEngine {
  readonly names = new Map<string, string>()
  readonly pulled: string[] = []
  readonly anonymous: string[] = []
  readonly places: Record<string, Place>
  bytes = { done: 0, total: 0 }

  constructor(places: Record<string, Place>) {
    this.places = places
  }

  engine(): Engine {
    return preparedEngine({
      inspectImage: async (name) => this.#inspect(name),
      dataDirectory: async () => '/var/lib/docker',
      pullImage: async ({ repository, digest, isAnonymous, onProgress, signal }) => {
        this.pulled.push(repository)
        if (isAnonymous) this.anonymous.push(repository)
        const place = this.#placeOf(repository)
        if (place.fails !== undefined) throw new EngineError(place.fails, `${repository} fails`)
        const id = place.byDigest?.[digest]
        if (id === undefined) throw new EngineError('image-missing', `${repository} has no ${digest}`)
        onProgress(this.bytes)
        if (signal.aborted) throw new EngineError('failed', 'the pull was ended')
        this.names.set(`${repository}@${digest}`, id)
      },
      resolveDigest: async ({ repository, tag }) => {
        const place = this.#placeOf(repository)
        if (place.fails !== undefined) throw new EngineError(place.fails, `${repository} fails`)
        if (place.tag === undefined) throw new EngineError('image-missing', `${repository} has no ${tag}`)
        return readDigest.parse(place.tag)
      },
      tagImage: async (reference, repository, tag) => {
        const seen = this.#inspect(reference)
        if (seen === undefined) throw new EngineError('image-missing', `no ${reference}`)
        this.names.set(`${repository}:${tag}`, seen.id)
      },
      removeImage: async (name) => {
        if (!this.names.delete(name)) throw new EngineError('image-missing', `no ${name}`)
      }
    })
  }

  #placeOf(repository: string): Place {
    return this.places[repository.split('/')[0] ?? ''] ?? {}
  }

  #inspect(name: string): SeenImage | undefined {
    const id = this.names.get(name) ?? [...this.names.values()].find((one) => one === name)
    if (id === undefined) return undefined
    const all = [...this.names].filter(([, of]) => of === id).map(([one]) => one)
    return {
      id,
      repoTags: all.filter((one) => !one.includes('@')),
      repoDigests: all.filter((one) => one.includes('@')),
      os: 'linux',
      architecture: 'amd64',
      variant: '',
      diffIds: id === content.config ? [...content.diffIds] : [digestOf('9')],
      sizeBytes: 10
    }
  }
}

const door: ArtifactDoor = {
  open: async () => ({
    repository: '127.0.0.1:4711/longshore-key/registry.test/web',
    close: async () => undefined
  }),
  isOwnName: (name) => name.startsWith('127.0.0.1:')
}

const scene = (places: Record<string, Place>) => {
  const fake = new FakeEngine(places)
  const base = runtimeOf(fake.engine())
  const runtime: Runtime = { ...base, images: { ...base.images, artifacts: door } }
  const fetch = (
    sources: ImageSource[],
    more: Partial<FetchPlan> & { pullPolicy?: 'always' | 'missing' | 'never' } = {}
  ) => {
    const { pullPolicy = 'missing', ...changes } = more
    const plan: FetchPlan = {
      sources: { allowed: sources, refused: [] },
      contents: [],
      keepAs: own,
      minFreeBytes: 0,
      ...changes
    }
    const step: Step = {
      kind: 'fetch-image',
      repository: 'registry.test/web',
      tag: 'v1',
      digest: wanted,
      platform: null,
      pullPolicy,
      plan
    }
    return executeStep(runtime, step)
  }
  return { fake, runtime, fetch }
}

const has = (id: string = content.config, digest: string = wanted): Place => ({ byDigest: { [digest]: id } })

t.test('the first source that has it serves', async (t) => {
  const { fake, fetch } = scene({ 'registry.test': has(), 'mirror.test': has() })
  t.match(await fetch([registry, mirror, artifact]), {
    kind: 'done',
    finding: { kind: 'fetched', served: { source: registry, failed: [] }, manifest: wanted }
  })
  t.same(fake.pulled, ['registry.test/web'])
  t.same([...fake.names.keys()], [`registry.test/web@${wanted}`], 'found by the name that the release pins')
  t.match(await fetch([registry]), { finding: { served: { source: null, failed: [] } } }, 'it is here by now')
  t.equal(fake.pulled.length, 1)
})

t.test('one that fails is left for the next, and is told', async (t) => {
  const { fake, runtime, fetch } = scene({
    'registry.test': { fails: 'registry-unavailable' },
    'mirror.test': has()
  })
  t.match(await fetch([registry, mirror]), {
    kind: 'done',
    finding: {
      served: {
        source: mirror,
        failed: [{ source: registry, code: 'registry-unavailable', detail: /fails/ }]
      }
    }
  })
  t.same([...fake.names.keys()], ['longshore/web:production-r3'], 'no name of the mirror stays')
  t.equal(runtime.images.known.find({ digest: wanted, platform: null }), content.config)
  const wantedImage = { repository: 'registry.test/web', digest: wanted, platform: null }
  t.match(await executeStep(runtime, { kind: 'verify-image', ...wantedImage }), {
    kind: 'done',
    finding: { image: { digest: wanted, platform: 'linux/amd64' } }
  })
  const tag = { kind: 'tag-image', reference: `registry.test/web@${wanted}`, image: wantedImage } as const
  t.match(await executeStep(runtime, { ...tag, repository: 'longshore/web', tag: 'production-r4' }), {
    kind: 'done'
  })
  t.ok(fake.names.has('longshore/web:production-r4'))
  fake.names.delete('longshore/web:production-r3')
  t.match(await fetch([registry, mirror]), { finding: { served: { source: null } } }, 'known by its id')
})

t.test('one that failed is tried last by the next run', async (t) => {
  const { fake, fetch } = scene({ 'registry.test': { fails: 'no-progress' }, 'mirror.test': has() })
  await fetch([registry, mirror])
  fake.names.clear()
  t.match(await fetch([registry, mirror]), { finding: { served: { source: mirror, failed: [] } } })
  t.same(fake.pulled, ['registry.test/web', 'mirror.test/web', 'mirror.test/web'])
})

t.test('the controller serves by way of the door, without the credentials of the host', async (t) => {
  const { fake, fetch } = scene({ '127.0.0.1:4711': has() })
  t.match(await fetch([registry, artifact]), {
    finding: { served: { source: artifact, failed: [{ source: registry, code: 'image-not-found' }] } }
  })
  t.same(fake.anonymous, ['127.0.0.1:4711/longshore-key/registry.test/web'])
  t.same([...fake.names.keys()], ['longshore/web:production-r3'])
})

t.test('the same image under another digest is taken, where it is known what it is made of', async (t) => {
  const other = digestOf('e')
  const places = { 'mirror.test': { ...has(content.config, other), tag: other } }
  t.match(await scene(places).fetch([mirror], { contents: [content] }), {
    finding: { served: { source: mirror }, manifest: other }
  })
  t.match(
    await scene(places).fetch([mirror]),
    { kind: 'failed', error: { code: 'image-not-found' } },
    'else it is not'
  )
  const wrong = { 'mirror.test': { ...has(digestOf('f'), other), tag: other } }
  const { fake, fetch } = scene(wrong)
  t.match(await fetch([mirror], { contents: [content] }), {
    kind: 'failed',
    error: { code: 'image-invalid', detail: /is another image than registry.test\/web@sha256:ddd/ }
  })
  t.same([...fake.names.keys()], [], 'and does not stay')
})

t.test('where no source has it, each is told with its reason', async (t) => {
  const { fetch } = scene({ 'registry.test': { fails: 'registry-denied' } })
  t.match(await fetch([registry, mirror]), {
    kind: 'failed',
    error: {
      code: 'registry-denied',
      detail: /^no source has given it; registry: .*; mirror:mirror.test: .* has no sha256/,
      failedSources: [
        { source: registry, code: 'registry-denied' },
        { source: mirror, code: 'image-not-found' }
      ]
    }
  })
  const refused = [{ source: artifact, code: 'policy' as const, detail: 'not allowed' }]
  t.match(await fetch([], { sources: { allowed: [registry], refused } }), {
    error: { code: 'policy', failedSources: [{ source: artifact }, { source: registry }] }
  })
})

t.test('an engine that is away is no reason to try another source', async (t) => {
  const { fake, fetch } = scene({ 'registry.test': { fails: 'disk-full' }, 'mirror.test': has() })
  t.match(await fetch([registry, mirror]), { kind: 'failed', error: { code: 'disk-full' } })
  t.same(fake.pulled, ['registry.test/web'])
})

t.test('always asks, and what is here does when nobody answers', async (t) => {
  const { fake, fetch } = scene({
    'registry.test': { fails: 'registry-unavailable' },
    'mirror.test': { fails: 'no-progress' }
  })
  fake.names.set(`registry.test/web@${wanted}`, content.config)
  t.match(await fetch([registry, mirror], { pullPolicy: 'always' }), {
    kind: 'done',
    finding: { served: { source: null, failed: [{ source: registry }, { source: mirror }] } }
  })
  fake.places['mirror.test'] = { fails: 'registry-denied' }
  t.match(
    await fetch([registry, mirror], { pullPolicy: 'always' }),
    { kind: 'failed' },
    'who was told no has no leave'
  )
})

t.test('an image that would fill the disk is not fetched, and one that did is removed again', async (t) => {
  const large = scene({ 'registry.test': has() })
  large.fake.bytes = { done: 0, total: 450 }
  t.match(await large.fetch([registry, mirror], { minFreeBytes: 100 }), {
    kind: 'failed',
    error: { code: 'disk-full', detail: /has 500 bytes free, 100 are demanded, and the image needs 450 more/ }
  })
  const full = scene({ 'mirror.test': has() })
  let looks = 0
  const host = { ...full.runtime.host, freeBytes: async () => (looks++ === 0 ? 500 : 50) }
  Object.assign(full.runtime, { host })
  t.match(await full.fetch([mirror], { minFreeBytes: 100 }), {
    kind: 'failed',
    error: {
      code: 'disk-full',
      detail: /has 50 bytes free with the image, which was removed again, 100 are demanded/
    }
  })
  t.same([...full.fake.names.keys()], [])
})

t.test('a tag is asked for in the order of the service, and the controller answers for itself', async (t) => {
  const { runtime, fake } = scene({
    'registry.test': { fails: 'registry-unavailable' },
    'mirror.test': { tag: wanted }
  })
  const image = { repository: 'registry.test/web', tag: 'v1', digest: null }
  const resolve = (allowed: ImageSource[]) =>
    executeStep(runtime, { kind: 'resolve-image', image, sources: { allowed, refused: [] } })
  for (const _ of [1, 2])
    t.match(await resolve([artifact, registry, mirror]), {
      finding: { kind: 'digest', digest: wanted, served: { source: mirror, failed: [{ source: registry }] } }
    })
  t.same(fake.pulled, [])
  t.match(await resolve([registry]), { kind: 'failed', error: { code: 'registry-unavailable' } })
})
