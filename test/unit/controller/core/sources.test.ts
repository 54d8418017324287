// Where images come from, as the controller decides it: which sources count, who says what a tag means, what commands
// carry of that, and what is kept of what hosts say.
import type { ImageContent, ImageSource, RunOutcome, ServiceSpec } from '@longshore/protocol'
import { capabilitiesFor } from '@longshore/protocol'
import t from 'tap'
import { commandBody } from '../../../../packages/controller/src/core/delivery/command-body.ts'
import {
  compareLimitMs,
  comparisonsOf
} from '../../../../packages/controller/src/core/deployment/compare-stored.ts'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import type { RequestedPart } from '../../../../packages/controller/src/core/deployment/events.ts'
import { chooseSources } from '../../../../packages/controller/src/core/requests/choose-sources.ts'
import { api, digestOf, failed, requestOf, resolved, Scene, staged } from './deployment-scenes.ts'

const registry: ImageSource = { kind: 'registry' }
const artifact: ImageSource = { kind: 'artifact' }
const mirror: ImageSource = { kind: 'mirror', at: 'mirror.test' }
const content: ImageContent = { platform: 'linux/amd64', config: digestOf('c') as never, diffIds: [] }
const stored = { digest: digestOf('8'), contents: [content] }

t.test(
  'the service says where images come from, else the environment, else the registry before the store',
  async (t) => {
    const said = { service: [mirror], environment: [artifact], hasArtifact: true }
    t.same(chooseSources(said), [mirror])
    t.same(chooseSources({ ...said, service: null }), [artifact])
    t.same(chooseSources({ ...said, service: undefined, environment: null }), [registry, artifact])
    t.same(chooseSources({ service: null, environment: null, hasArtifact: false }), [registry])
  }
)

const content7 = (change: Partial<Parameters<typeof commandBody>[1]>) => ({
  release: 7,
  repository: 'api',
  tag: 'v7',
  digest: digestOf('8'),
  spec: { update: {}, sources: [mirror], cache: true } as unknown as ServiceSpec,
  replace: null,
  ...change
})

t.test('commands carry sources only where the registry is not the only one', async (t) => {
  const plain = commandBody({ kind: 'stage' }, content7({ sources: [registry], artifact: stored }))
  t.notOk('sources' in plain || 'contents' in plain, 'as an agent of before reads it')
  const { spec } = plain as { spec: object }
  t.notOk('sources' in spec || 'cache' in spec, 'nor does the spec')
  t.same(capabilitiesFor(plain), ['stage'])
  const both = commandBody({ kind: 'stage' }, content7({ sources: [registry, artifact], artifact: stored }))
  t.match(both, { sources: [registry, artifact], contents: [content] })
  t.same(capabilitiesFor(both), ['stage', 'sources'])
  const other = { ...stored, digest: digestOf('9') }
  t.notOk('contents' in commandBody({ kind: 'stage' }, content7({ sources: [artifact], artifact: other })))
  const resolve = commandBody({ kind: 'resolve' }, content7({ digest: null, sources: [registry, artifact] }))
  t.notOk('sources' in resolve, 'the controller answers for its own store')
  t.match(commandBody({ kind: 'resolve' }, content7({ sources: [mirror, artifact] })), { sources: [mirror] })
  t.notOk('sources' in commandBody({ kind: 'release', recreate: false }, content7({ sources: [mirror] })))
})

t.test('a plan says where hosts would get the image, once the controller has fetched it', async (t) => {
  const order = { kind: 'plan', recreate: false } as const
  t.notOk('sources' in commandBody(order, content7({ sources: [registry] })))
  const both = content7({ sources: [registry, mirror] })
  t.match(commandBody(order, both), { sources: [registry, mirror] })
  t.match(commandBody(order, { ...both, cache: { platforms: null } }), {
    sources: [artifact, registry, mirror]
  })
  t.same(capabilitiesFor(commandBody(order, both)), ['plan', 'sources'])
})

t.test('an agent that knows of no sources is told what it understands, if the registry is one', async (t) => {
  const capabilities = ['stage', 'resolve']
  const both = content7({ sources: [artifact, mirror, registry], artifact: stored, capabilities })
  for (const order of [{ kind: 'stage' }, { kind: 'resolve' }] as const) {
    const body = commandBody(order, both)
    t.notOk('sources' in body || 'contents' in body)
    t.same(capabilitiesFor(body), [order.kind])
    t.match(commandBody(order, { ...both, capabilities: null }), { sources: Array })
    t.match(commandBody(order, { ...both, capabilities: [...capabilities, 'sources'] }), { sources: Array })
    const none = commandBody(order, { ...both, sources: [artifact, mirror] })
    t.same(capabilitiesFor(none), [order.kind, 'sources'], 'the registry is none of them: it is too old')
  }
})

const sceneOf = (hosts: string[], sources: ImageSource[], hasArtifact: boolean) => {
  const part: Partial<RequestedPart> = { digest: null, sources, artifact: hasArtifact ? stored : null }
  return new Scene(requestOf(hosts, part))
}

t.test('a store that is first says what the tag means, and no host is asked', async (t) => {
  const scene = sceneOf(['a', 'b'], [artifact, registry], true)
  t.same(scene.sent, ['a stage', 'b stage'])
  t.equal(scene.state.parts[0]?.digest, stored.digest)
  t.same(scene.state.warnings, [])
})

t.test('where the registry says it, the store is not needed', async (t) => {
  const scene = sceneOf(['a', 'b'], [registry, artifact], false)
  t.same(scene.sent, ['a resolve'])
  scene.report('a', resolved)
  t.same(scene.sent, ['a stage', 'b stage'])
  t.equal(scene.state.parts[0]?.digest, digestOf('7'))
})

t.test('the same image under another digest in the store is one that hosts may take', async (t) => {
  const scene = sceneOf(['a', 'b'], [registry, artifact], true)
  t.same(comparisonsOf(scene.state), [], 'not before the digest is known')
  scene.report('a', resolved)
  t.same(scene.sent, [], 'the registry is asked first')
  const asked = { service: api, repository: 'api', digest: digestOf('7'), platforms: ['linux/amd64'] }
  t.same(comparisonsOf(scene.state), [{ ...asked, sources: [registry, artifact] }])
  t.equal(nextDeadline(scene.state), scene.atMs + compareLimitMs)
  scene.restart()
  scene.presence('hostConnected', 'a')
  scene.jump(3_600_000)
  t.equal(comparisonsOf(scene.state).length, 1, 'also after a restart')
  scene.compared([digestOf('d'), digestOf('c')])
  t.same(scene.sent, ['a stage', 'b stage'])
  t.same(scene.state.parts[0]?.artifact, { digest: digestOf('7'), contents: [content] })
  t.same(comparisonsOf(scene.state), [])
})

t.test('a registry that does not say it, or says another image, holds nothing up', async (t) => {
  for (const configs of [[], [digestOf('d')]]) {
    const scene = sceneOf(['a'], [registry, artifact], true)
    scene.report('a', resolved)
    scene.compared(configs)
    t.same(scene.sent, ['a stage'])
    t.match(scene.state, { warnings: [], parts: [{ artifact: stored }] })
  }
  const silent = sceneOf(['a'], [registry, artifact], true)
  silent.report('a', resolved)
  silent.pass(compareLimitMs - 1)
  t.same(silent.sent, [])
  silent.pass(1)
  t.same(silent.sent, ['a stage'])
  const { state } = silent
  silent.compared([digestOf('c')])
  t.equal(silent.state, state, 'what comes later changes nothing')
})

t.test('nobody is asked where it would help nobody', async (t) => {
  const useless: [string, Partial<RequestedPart>][] = [
    ['no tag to find it by', { tag: null }],
    ['the digest is the same', { artifact: { ...stored, digest: digestOf('7') } }],
    ['nothing is known of it', { artifact: { ...stored, contents: [] } }],
    ['hosts may not take it', { sources: [registry] }],
    ['no registry may be asked', { sources: [artifact] }],
    ['it will be fetched', { cache: { platforms: null } }]
  ]
  for (const [why, change] of useless) {
    const part = { digest: digestOf('7'), sources: [registry, artifact], artifact: stored, ...change }
    t.same(comparisonsOf(new Scene(requestOf(['a'], part)).state), [], why)
  }
})

t.test('two hosts are asked before the store counts for a registry that does not say it', async (t) => {
  const scene = sceneOf(['a', 'b', 'c'], [registry, artifact], true)
  scene.report('a', failed('old', 'registry-unavailable', 'the registry is away'))
  t.same(scene.sent, ['b resolve'])
  scene.report('b', failed('old', 'registry-unavailable', 'the registry is away'))
  t.same(scene.sent, ['a stage', 'b stage', 'c stage'])
  t.equal(scene.state.parts[0]?.digest, stored.digest)
  t.match(scene.state.warnings, [
    /the controller said which image api:v7 is: host a: the registry is away; host b: /
  ])
})

t.test(
  'without the image in the store every host is asked, and it is said that the store has none',
  async (t) => {
    const scene = sceneOf(['a', 'b', 'c'], [registry, artifact], false)
    for (const host of ['a', 'b', 'c']) scene.report(host, failed('old', 'image-not-found', 'no such image'))
    t.match(scene.state, {
      outcome: 'refused',
      reason: /host c: no such image; the controller has no such image;/
    })
    const alone = sceneOf(['a'], [artifact], false)
    t.match(alone.state, {
      outcome: 'refused',
      reason: /could not be resolved: the controller has no such image;/
    })
    t.same(alone.sent, [])
  }
)

t.test('a deployment of a version before goes on as it was', async (t) => {
  const scene = new Scene(requestOf(['a'], { digest: null }))
  t.same(scene.sent, ['a resolve'])
  scene.report('a', failed('old', 'registry-unavailable', 'away'))
  t.match(scene.state, { outcome: 'refused' })
})

t.test('it is kept which source served each host, and which did not', async (t) => {
  const scene = sceneOf(['a', 'b'], [registry, mirror], false)
  const failure = { source: registry, code: 'registry-unavailable' as const, detail: 'away' }
  const found: RunOutcome = {
    ...resolved,
    status: 'succeeded',
    result: { kind: 'resolve', digest: digestOf('7'), source: mirror, failedSources: [failure] }
  }
  scene.report('a', found)
  t.match(scene.state.warnings, ['host a: mirror:mirror.test said which image the tag is: registry: away'])
  const vote = staged()
  if (vote.status !== 'succeeded' || vote.result.kind !== 'stage') throw new Error('no vote')
  scene.report('a', { ...vote, result: { ...vote.result, source: mirror, failedSources: [failure] } })
  t.match(scene.target('a'), { state: 'ready', source: mirror, failedSources: [failure] })
  const no = failed('old', 'registry-unavailable', 'no source has given it')
  if (no.status !== 'failed') throw new Error('no failure')
  scene.report('b', { ...no, error: { ...no.error, failedSources: [failure] } })
  t.match(scene.target('b'), { state: 'not-ready', failedSources: [failure] })
  t.notOk('source' in scene.target('b'))
})
