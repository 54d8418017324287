// Images that the controller fetches for its hosts, as the machine sees it: what waits for it, what follows from it, and
// what becomes of it when time passes.
import type { Facts, ServiceName } from '@longshore/protocol'
import t from 'tap'
import { fetchesOf, fetchLimitMs } from '../../../../packages/controller/src/core/deployment/cache.ts'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import type { RequestedPart } from '../../../../packages/controller/src/core/deployment/events.ts'
import { chooseCache, placesOf } from '../../../../packages/controller/src/core/requests/choose-cache.ts'
import { api, digestOf, failed, requestOf, requestOfServices, resolved, Scene } from './deployment-scenes.ts'

const registry = { kind: 'registry' } as const
const mirror = { kind: 'mirror', at: 'mirror.test' } as const
const artifact = { kind: 'artifact' } as const
const stored = { digest: digestOf('7'), contents: [] }
const cached: Partial<RequestedPart> = { sources: [registry, mirror], cache: { platforms: ['linux/amd64'] } }

t.test('hosts are told of the image once the controller has it, and where to get it first', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { ...cached, digest: null }))
  t.same(fetchesOf(scene.state), [])
  scene.report('a', resolved)
  t.same(scene.sent, [])
  const wanted = { service: api, repository: 'api', digest: digestOf('7'), platforms: ['linux/amd64'] }
  t.same(fetchesOf(scene.state), [{ ...wanted, sources: [registry, mirror] }])
  scene.fetched(stored)
  t.same(scene.sent, ['a stage', 'b stage'])
  t.same(scene.state.parts[0]?.sources, [artifact, registry, mirror])
  t.same(scene.state.parts[0]?.artifact, stored)
  t.same([fetchesOf(scene.state), scene.state.warnings], [[], []])
})

t.test('a controller that cannot fetch it says so, and hosts use their own sources', async (t) => {
  const scene = new Scene(requestOf(['a'], cached))
  scene.fetched('the registry does not answer')
  t.same(scene.sent, ['a stage'])
  t.same(scene.state.parts[0]?.sources, [registry, mirror])
  t.match(scene.state.warnings, [/could not fetch the image of api, .* own sources: the registry does not/])
  const { state } = scene
  scene.fetched(stored)
  t.equal(scene.state, state, 'what comes later changes nothing')
})

t.test('it is waited for as long as it may take, and for as long again after a restart', async (t) => {
  const scene = new Scene(requestOf(['a'], cached))
  t.equal(nextDeadline(scene.state), fetchLimitMs)
  scene.pass(fetchLimitMs - 1)
  t.same(scene.sent, [])
  scene.restart()
  t.equal(fetchesOf(scene.state).length, 1)
  scene.presence('hostConnected', 'a')
  scene.jump(3_600_000)
  scene.pass(fetchLimitMs - 2_000)
  t.same(scene.sent, [])
  scene.pass(1_000)
  t.same(scene.sent, ['a stage'])
  t.match(scene.state.warnings, [/it took longer than 15 min/])
})

t.test('all services wait for the last image', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'web'], ['a'], cached))
  scene.fetched(stored)
  t.same(scene.sent, [])
  scene.fetched('no such image', 'web' as ServiceName)
  t.same(scene.sent, ['a api stage', 'a web stage'])
})

t.test('a cancelled deployment waits for nothing, and a plan fetches nothing', async (t) => {
  const scene = new Scene(requestOf(['a'], cached))
  scene.cancel()
  t.match(scene.state, { outcome: 'cancelled' })
  t.same(fetchesOf(scene.state), [])
  const plan = new Scene({ ...requestOf(['a'], cached), mode: 'plan' })
  t.same([plan.sent, fetchesOf(plan.state)], [['a plan'], []])
})

t.test('what a tag was when it was deployed last counts when no host can say what it is', async (t) => {
  const former = { ...stored, digest: digestOf('6'), isFormer: true }
  for (const sources of [[registry], [artifact, registry]]) {
    const part = { ...cached, sources, digest: null, artifact: former }
    const scene = new Scene(requestOf(['a', 'b', 'c'], part))
    t.same(scene.sent, ['a resolve'], 'also where the store is the first source')
    scene.report('a', failed('old', 'registry-unavailable', 'away'))
    scene.report('b', failed('old', 'registry-unavailable', 'away'))
    t.match(fetchesOf(scene.state), [{ digest: digestOf('6') }])
    t.match(scene.state.warnings, [/the controller said which image api:v7 is: host a: away; host b: away/])
  }
})

t.test('the platforms are those of the hosts, or the one of the service', async (t) => {
  const host = (architecture: string) => ({ facts: { architecture } as Facts })
  const spec = { cache: true, pullPolicy: 'missing', platform: null } as const
  const hosts = [host('x86_64'), host('aarch64'), host('x86_64')]
  t.same(chooseCache(spec, hosts), { platforms: ['linux/amd64', 'linux/arm64'] })
  t.same(chooseCache(spec, [...hosts, host('armv7l')]), { platforms: null }, 'there are many of that')
  t.same(chooseCache(spec, [{ facts: null }]), { platforms: null })
  t.same(chooseCache({ ...spec, platform: 'linux/arm/v7' }, hosts), { platforms: ['linux/arm/v7'] })
  for (const change of [{ cache: null }, { pullPolicy: 'never' as const }])
    t.equal(chooseCache({ ...spec, ...change }, hosts), null)
  t.same(placesOf('nginx', [artifact, mirror, registry]), ['mirror.test/library/nginx', 'nginx'])
})
