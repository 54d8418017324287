// What newer keys mean in specs and commands that were stored before they existed, and what a body may not hold.
import { capabilitiesFor, commandBody, serviceSpec } from '@longshore/protocol'
import t from 'tap'
import { releaseBody, sampleDigest, sampleSpec, stageBody } from '../../support/run-samples.ts'

t.test(
  'reads a spec that was stored before there were canaries, release commands, routing and sources',
  async (t) => {
    const { releaseCommand: _, routing: _routing, sources: _sources, update, ...rest } = sampleSpec()
    const { canary: _canary, canaryMaxErrorRatio: _ratio, ...pace } = update
    const old = { ...rest, update: pace }
    t.same(serviceSpec.parse(old), sampleSpec())
    t.same(commandBody.parse(releaseBody(1, old as never)), {
      ...(releaseBody(1, sampleSpec()) as object),
      canaryMaxErrorRatio: null
    })
  }
)

t.test('reads a remove without a list as one of all containers', async (t) => {
  t.same(commandBody.parse({ kind: 'remove', release: null }), {
    kind: 'remove',
    release: null,
    containers: null
  })
})

t.test('reads a body without sources as one of the registry alone', async (t) => {
  const { sources: _, contents: _contents, ...old } = stageBody(1, sampleSpec()) as Record<string, unknown>
  t.match(commandBody.parse(old), { sources: [{ kind: 'registry' }], contents: [] })
  const asked = { repository: 'registry.test/web', tag: 'v1', digest: null }
  t.match(commandBody.parse({ kind: 'resolve', image: asked }), { sources: [{ kind: 'registry' }] })
  t.same(capabilitiesFor(old as never), ['stage'], 'which every agent can do')
  const mirrored = { ...old, sources: [{ kind: 'mirror', at: 'mirror.test' }] }
  t.same(capabilitiesFor(mirrored as never), ['stage', 'sources'])
})

const image = { repository: 'registry.test/web', tag: null, digest: sampleDigest }
const base = { release: 1, image, spec: sampleSpec() }
const stageOf = (sources: object[]) => ({ ...(stageBody(1, sampleSpec()) as object), sources })
const bodies: [name: string, body: object, isValid: boolean][] = [
  ['a plan', { ...base, kind: 'plan', replace: null, recreate: false }, true],
  ['a plan without recreate', { ...base, kind: 'plan', replace: null }, false],
  [
    'a canary that is compared',
    { ...(releaseBody(1, sampleSpec()) as object), canaryMaxErrorRatio: 0.5 },
    true
  ],
  [
    'a canary beyond measure',
    { ...(releaseBody(1, sampleSpec()) as object), canaryMaxErrorRatio: 1.5 },
    false
  ],
  ['a release command', { ...base, kind: 'run-once', command: ['migrate'] }, true],
  ['a release command without words', { ...base, kind: 'run-once', command: [] }, false],
  ['a release command with a field too many', { ...base, kind: 'run-once', command: ['a'], shell: 1 }, false],
  ['a stage from a mirror', { ...stageOf([{ kind: 'mirror', at: 'mirror.test/hub' }]) }, true],
  ['a stage from nowhere', { ...stageOf([]) }, false],
  ['a stage from a source of a later version', { ...stageOf([{ kind: 'peer' }]) }, false],
  ['a rehearsal', { ...base, kind: 'rehearse', replace: 'old' }, true],
  ['a remove of two', { kind: 'remove', release: null, containers: ['0123456789ab', 'a'.repeat(64)] }, true],
  ['a remove by name', { kind: 'remove', release: null, containers: ['web-r1-0'] }, false]
]
for (const [name, body, isValid] of bodies) {
  t.test(`${isValid ? 'takes' : 'refuses'} ${name}`, async (t) => {
    t.equal(commandBody.safeParse(body).success, isValid)
  })
}
