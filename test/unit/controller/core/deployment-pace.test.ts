// How fast a deployment goes and who stops it: canary, batches through several services, pause, resume.
import t from 'tap'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import {
  failed,
  released,
  requestOf,
  requestOfServices,
  rolloutOf,
  Scene,
  staged,
  wentBack
} from './deployment-scenes.ts'

const stageAll = (scene: Scene, names: string[]) => {
  for (const name of names) scene.report(name, staged())
}
const pausing = (change: Parameters<typeof rolloutOf>[0] = {}) => ({
  rollout: rolloutOf({ failureAction: 'pause', ...change })
})

t.test('switches the canary first, then batches', async (t) => {
  const hosts = ['a', 'b', 'c', 'd', 'e']
  const rollout = rolloutOf({
    canary: { unit: 'count', value: 1 },
    parallelism: { unit: 'percent', value: 40 },
    delayMs: 3000
  })
  const scene = new Scene(requestOf(hosts, { rollout }))
  stageAll(scene, hosts)
  t.same(scene.sent, ['a release'])
  scene.report('a', released)
  t.same(scene.sent, [], 'the delay counts after the canary too')
  scene.pass(3000)
  t.same(scene.sent, ['b release', 'c release'])
  t.same(
    scene.state.targets.map(({ batch }) => batch),
    [1, 2, 2, 3, 3]
  )
})

t.test('takes a failed canary back before anybody else was touched', async (t) => {
  const rollout = rolloutOf({
    canary: { unit: 'percent', value: 1 },
    parallelism: { unit: 'count', value: 0 }
  })
  const scene = new Scene(requestOf(['a', 'b', 'c'], { rollout }))
  stageAll(scene, ['a', 'b', 'c'])
  scene.report('a', failed('old'))
  t.equal(scene.state.outcome, 'reverted')
  t.equal(scene.states, 'a failed, b untouched, c untouched')
})

t.test('rolls one service after the other, each in its batches', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'worker'], ['a', 'b']))
  t.same(scene.sent, ['a api stage', 'b api stage', 'a worker stage', 'b worker stage'])
  stageAll(scene, ['a api', 'b api', 'a worker'])
  t.same(scene.sent, [], 'the last vote is waited for')
  scene.report('b worker', staged())
  t.same(scene.sent, ['a api release'])
  scene.report('a api', released)
  scene.report('b api', released)
  t.same(scene.sent, ['a worker release'])
  t.equal(scene.state.batch, 3)
  scene.report('a worker', released)
  scene.report('b worker', failed('old'))
  t.same(scene.sent, ['a api revert', 'b api revert', 'a worker revert'])
  for (const name of ['a api', 'b api', 'a worker']) scene.report(name, wentBack('revert', 'old'))
  t.equal(scene.state.outcome, 'reverted')
  t.equal(
    scene.state.reason,
    'host b, worker: the container exited with code 1 before it was healthy; all 2 switched hosts are back on what they ran before'
  )
})

t.test('refuses all services when one host is not ready for one of them', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'worker'], ['a']))
  scene.report('a api', staged())
  scene.report('a worker', failed('old', 'image-not-found', 'the image is not in the registry'))
  t.equal(scene.state.outcome, 'refused')
  t.equal(
    scene.state.reason,
    'not ready: host a, worker: the image is not in the registry; no container was stopped'
  )
})

t.test('leaves a service alone that runs everywhere, and brings the other one', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'worker'], ['a']))
  scene.report('a api', staged(true))
  scene.report('a worker', staged())
  t.same(scene.sent, ['a worker release'])
  scene.report('a worker', released)
  t.equal(scene.state.outcome, 'succeeded')
  t.same(scene.sent, ['a worker settle'])
  t.same(
    scene.state.parts.map(({ isUnchanged }) => isUnchanged),
    [true, false]
  )
})

t.test('holds after a failure until somebody resumes, and ends mixed', async (t) => {
  const scene = new Scene(requestOf(['a', 'b', 'c'], pausing()))
  stageAll(scene, ['a', 'b', 'c'])
  scene.report('a', released)
  scene.report('b', failed('old'))
  t.equal(scene.state.phase, 'paused')
  t.match(scene.state.cause, /^host b: the container exited/)
  t.same(scene.sent, [])
  t.equal(nextDeadline(scene.state), scene.atMs + 3_600_000)
  scene.presence('hostDisconnected', 'c')
  scene.pass(3_000_000)
  t.equal(scene.state.phase, 'paused', 'nobody is lost in a pause')
  scene.presence('hostConnected', 'c')
  t.same(scene.sent, [])
  scene.resume()
  t.same(scene.sent, ['c release'])
  scene.report('c', released)
  t.equal(scene.state.outcome, 'mixed')
  t.match(scene.state.reason, /host b: .*\(the former release runs there\); 2 on release 7/)
})

t.test('waits for what was in flight when it paused, and counts it no more after a resume', async (t) => {
  const scene = new Scene(
    requestOf(['a', 'b', 'c', 'd'], pausing({ parallelism: { unit: 'count', value: 2 } }))
  )
  stageAll(scene, ['a', 'b', 'c', 'd'])
  scene.report('a', failed('old'))
  t.equal(scene.state.phase, 'paused')
  t.notOk(scene.effects.some(({ kind }) => kind === 'cancelCommand'))
  scene.report('b', failed('old'))
  scene.resume()
  t.same(scene.sent, ['c release', 'd release'])
  scene.report('c', failed('old'))
  t.equal(scene.state.phase, 'paused', 'a new failure counts')
  scene.report('d', released)
  scene.resume()
  t.equal(scene.state.outcome, 'mixed')
  t.equal(scene.states, 'a failed, b failed, c failed, d released')
})

t.test('takes everything back when a pause is cancelled, or when nobody decides', async (t) => {
  const paused = () => {
    const scene = new Scene(requestOf(['a', 'b', 'c'], pausing()))
    stageAll(scene, ['a', 'b', 'c'])
    scene.report('a', released)
    scene.report('b', failed('old'))
    return scene
  }
  const cancelled = paused()
  cancelled.cancel()
  t.same(cancelled.sent, ['a revert'])
  cancelled.report('a', wentBack('revert', 'old'))
  t.equal(cancelled.state.outcome, 'cancelled')

  const forgotten = paused()
  forgotten.pass(3_599_999)
  t.equal(forgotten.state.phase, 'paused')
  forgotten.pass(1)
  t.same(forgotten.sent, ['a revert'])
  forgotten.report('a', wentBack('revert', 'old'))
  t.equal(forgotten.state.outcome, 'reverted')
  t.match(forgotten.state.reason, /; nobody resumed it within 1 h; the 1 switched host is back on release 6$/)
})

t.test('leaves a pause time after the controller was away, and knows a resume out of place', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], pausing()))
  const before = scene.state
  scene.resume()
  t.equal(scene.state, before)
  stageAll(scene, ['a', 'b'])
  scene.report('a', failed('old'))
  scene.atMs += 7_200_000
  scene.restart()
  t.equal(scene.state.phase, 'paused')
  scene.pass(119_999)
  t.equal(scene.state.phase, 'paused')
  for (const host of ['a', 'b']) scene.presence('hostConnected', host)
  scene.pass(1)
  t.equal(scene.state.outcome, 'reverted')
})

t.test('believes no cancellation that nobody asked for', async (t) => {
  const rollout = rolloutOf({ parallelism: { unit: 'count', value: 0 }, maxFailureRatio: 0.5 })
  const scene = new Scene(requestOf(['a', 'b'], { rollout }))
  stageAll(scene, ['a', 'b'])
  scene.report('a', failed('old', 'cancelled', 'cancelled'))
  scene.report('b', released)
  t.equal(scene.state.outcome, 'mixed')
  t.equal(scene.states, 'a failed, b released')
})
