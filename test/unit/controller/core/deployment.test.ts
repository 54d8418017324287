// The deployment machine, scene by scene: what it asks of the hosts, how it ends, in which words.
import t from 'tap'
import { nextDeadline } from '../../../../packages/controller/src/core/deployment/deadlines.ts'
import {
  agentOf,
  digestOf,
  failed,
  released,
  requestOf,
  rolloutOf,
  Scene,
  staged,
  wentBack
} from './deployment-scenes.ts'

const stageAll = (scene: Scene, hosts: string[]) => {
  for (const host of hosts) scene.report(host, staged())
}

t.test('stages everywhere before it switches anything, then one host after the other', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  t.same(scene.sent, ['a stage', 'b stage'])
  scene.report('a', staged())
  t.same(scene.sent, [])
  scene.report('b', staged())
  t.same(scene.sent, ['a release'])
  scene.report('a', released)
  t.same(scene.sent, ['b release'])
  scene.report('b', released)
  t.equal(scene.state.outcome, 'succeeded')
  t.equal(scene.state.reason, 'all 2 hosts are on release 7, healthy')
  t.same(scene.sent, ['a settle', 'b settle'])
  t.equal(nextDeadline(scene.state), null)
})

t.test('asks the next host for the digest when one cannot tell', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { digest: null }))
  t.same(scene.sent, ['a resolve'])
  scene.report('a', failed('old', 'registry-unavailable', 'the registry does not answer'))
  t.same(scene.sent, ['b resolve'])
  scene.report('b', {
    status: 'succeeded',
    result: { kind: 'resolve', digest: digestOf('7') },
    serving: 'old',
    release: 6
  })
  t.same(scene.sent, ['a stage', 'b stage'])
  t.match(scene.effects[0], { kind: 'pinRelease', service: 'api', release: 7, digest: digestOf('7') })
})

t.test('names the tags that exist when the one asked for does not', async (t) => {
  const scene = new Scene(requestOf(['a'], { digest: null, knownTags: ['v6', 'v5'] }))
  scene.report('a', failed('old', 'image-not-found', 'manifest unknown'))
  t.equal(
    scene.state.reason,
    'api:v7 could not be resolved: host a: manifest unknown; tags released here before: v6, v5; no container was stopped'
  )
})

t.test('refuses when no host can resolve the tag', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { digest: null }))
  scene.report('a', failed('old', 'image-not-found', 'manifest unknown'))
  scene.pass(300_000)
  t.equal(scene.state.outcome, 'refused')
  t.equal(
    scene.state.reason,
    'api:v7 could not be resolved: host a: manifest unknown; host b: its agent did not report in time on resolve; no container was stopped'
  )
})

t.test('restarts nothing when every host runs the release', async (t) => {
  const request = requestOf(['a', 'b'], { digest: digestOf('6') })
  const scene = new Scene(request)
  t.equal(scene.state.parts[0]?.release, 6, 'the same image and spec are the same release')
  scene.report('a', staged(true))
  scene.report('b', staged(true))
  t.equal(scene.state.outcome, 'succeeded')
  t.equal(scene.state.parts[0]?.isUnchanged, true)
  t.notOk(scene.all.some((effect) => effect.kind === 'sendCommand' && effect.order.kind !== 'stage'))

  const again = new Scene(requestOf(['a', 'b'], { digest: digestOf('6'), recreate: true }))
  t.equal(again.state.parts[0]?.release, 7, 'made anew, it is a release of its own')
  stageAll(again, ['a', 'b'])
  t.same(again.sent, ['a release'])
})

t.test('refuses when one host is not ready, and names it', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  scene.report('b', failed('old', 'image-not-found', 'the image is not in the registry'))
  t.equal(scene.state.phase, 'staging', 'the other vote is waited for')
  scene.report('a', staged())
  t.equal(scene.state.outcome, 'refused')
  t.equal(scene.state.reason, 'not ready: host b: the image is not in the registry; no container was stopped')
})

t.test('takes other layers under the same digest as a vote against', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  scene.report('a', staged(false, 'a'))
  scene.report('b', staged(false, 'b'))
  t.equal(scene.state.outcome, 'refused')
  t.match(scene.target('b').reason, /differs from the one staged on host a/)
})

t.test('refuses at once when a host is offline, or leaves it out', async (t) => {
  const request = requestOf(['a', 'b'])
  request.targets = request.targets.map((target) => ({ ...target, isConnected: target.host === 'a' }))
  const strict = new Scene(request)
  t.equal(strict.state.outcome, 'refused')
  t.same(strict.all, [])
  const lenient = new Scene({ ...request, offline: 'skip' })
  t.same(lenient.sent, ['a stage'])
  lenient.report('a', staged())
  lenient.report('a', released)
  t.equal(lenient.state.outcome, 'succeeded')
  t.equal(lenient.states, 'a released, b skipped')
  t.match(lenient.state.reason, /on release 7, healthy; host b was skipped and follows when it is back/)
})

t.test('takes every switched host back when one fails', async (t) => {
  const scene = new Scene(requestOf(['a', 'b', 'c']))
  stageAll(scene, ['a', 'b', 'c'])
  scene.report('a', released)
  scene.report('b', failed('old'))
  t.same(scene.sent, ['a revert'])
  scene.report('a', wentBack('revert', 'old'))
  t.equal(scene.state.outcome, 'reverted')
  t.equal(scene.states, 'a reverted, b failed, c untouched')
  t.equal(
    scene.state.reason,
    'host b: the container exited with code 1 before it was healthy; the 1 switched host is back on release 6'
  )
})

t.test('cancels the runs in flight when one of the batch fails', async (t) => {
  const rollout = rolloutOf({ parallelism: { unit: 'percent', value: 100 }, delayMs: 0, maxFailureRatio: 0 })
  const scene = new Scene(requestOf(['a', 'b', 'c'], { rollout }))
  stageAll(scene, ['a', 'b', 'c'])
  t.same(scene.sent, ['a release', 'b release', 'c release'])
  scene.report('b', failed('old'))
  t.same(
    scene.effects.map((effect) => effect.kind),
    ['cancelCommand', 'cancelCommand']
  )
  scene.report('a', failed('old', 'cancelled', 'cancelled'))
  t.equal(scene.target('a').state, 'reverted')
  scene.report('c', released)
  t.same(scene.sent, ['c revert'], 'the cancellation came too late')
  scene.report('c', wentBack('revert', 'old'))
  t.equal(scene.state.outcome, 'reverted')
})

t.test('takes each host back to what its own vote said that it ran', async (t) => {
  const scene = new Scene(requestOf(['a', 'b', 'c'], { current: null }))
  scene.report('a', staged(false, 'a', 3))
  scene.report('b', staged(false, 'a', null))
  scene.report('c', staged(false, 'a', 3))
  scene.report('a', released)
  scene.report('b', released)
  scene.report('c', failed('old'))
  t.same(scene.sent, ['a revert', 'b remove'])
  t.match(scene.effects, [
    { order: { kind: 'revert', from: 7, to: 3 } },
    { order: { kind: 'remove', release: 7 } }
  ])
  scene.report('a', wentBack('revert', 'old'))
  scene.report('b', wentBack('remove', 'none'))
  t.equal(scene.state.outcome, 'reverted')
  t.match(scene.state.reason, /all 2 switched hosts are back on what they ran before/)
})

t.test('does not say what a host runs before it was told', async (t) => {
  const scene = new Scene(requestOf(['a']))
  t.equal(scene.target('a').serving, 'unknown')
  scene.report('a', staged())
  t.equal(scene.target('a').serving, 'old')
})

t.test('tolerates exactly the share of failures that was asked for', async (t) => {
  const hosts = Array.from({ length: 100 }, (_, number) => `h${number}`)
  const rollout = rolloutOf({ parallelism: { unit: 'count', value: 0 }, delayMs: 0, maxFailureRatio: 0.29 })
  const scene = new Scene(requestOf(hosts, { rollout }))
  for (const host of hosts) scene.report(host, staged())
  for (const host of hosts.slice(0, 29)) scene.report(host, failed('old'))
  t.equal(scene.state.phase, 'rolling')
  scene.report('h29', failed('old'))
  t.equal(scene.state.phase, 'reverting')
})

t.test('removes a first release that failed', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { current: null }))
  scene.report('a', staged(false, 'a', null))
  scene.report('b', staged(false, 'a', null))
  scene.report('a', released)
  scene.report('b', failed('none'))
  t.same(scene.sent, ['a remove'])
  scene.report('a', wentBack('remove', 'none'))
  t.equal(scene.state.outcome, 'reverted')
  t.match(scene.state.reason, /release 7 was removed from the 1 switched host, there was none before it/)
})

t.test('counts a first release as back where the container that it took over serves again', async (t) => {
  const endAfter = (serving: 'old' | 'none') => {
    const scene = new Scene(requestOf(['a', 'b'], { current: null, replace: 'legacy' }))
    scene.report('a', { ...staged(false, 'a', null), serving: 'old' })
    scene.report('b', staged(false, 'a', null))
    scene.report('a', released)
    scene.report('b', failed('none'))
    t.same(scene.sent, ['a remove'])
    scene.report('a', wentBack('remove', serving))
    return scene.state.outcome
  }
  t.equal(endAfter('old'), 'reverted')
  t.equal(endAfter('none'), 'mixed', 'it served before, and does not now')
  const alone = new Scene(requestOf(['a'], { current: null, replace: 'legacy' }))
  alone.report('a', { ...staged(false, 'a', null), serving: 'old' })
  alone.report('a', failed('old'))
  t.equal(alone.state.outcome, 'reverted')
})

t.test('waits between batches for the delay', async (t) => {
  const rollout = rolloutOf({ parallelism: { unit: 'count', value: 2 }, delayMs: 5000, maxFailureRatio: 0 })
  const scene = new Scene(requestOf(['a', 'b', 'c'], { rollout }))
  stageAll(scene, ['a', 'b', 'c'])
  scene.report('a', released)
  scene.report('b', released)
  t.same(scene.sent, [])
  t.equal(nextDeadline(scene.state), scene.atMs + 5000)
  scene.pass(4999)
  t.same(scene.sent, [])
  scene.pass(1)
  t.same(scene.sent, ['c release'])
})

t.test('goes on over tolerated failures and ends mixed', async (t) => {
  const rollout = rolloutOf({ parallelism: { unit: 'count', value: 1 }, delayMs: 0, maxFailureRatio: 0.5 })
  const scene = new Scene(requestOf(['a', 'b'], { rollout }))
  stageAll(scene, ['a', 'b'])
  scene.report('a', failed('old'))
  t.same(scene.sent, ['b release'])
  scene.report('b', released)
  t.equal(scene.state.outcome, 'mixed')
  t.match(
    scene.state.reason,
    /host a: the container exited .* \(the former release runs there\); 1 on release 7/
  )
})

t.test(
  'judges a host lost while it switches, takes the others back and leaves it the order to follow',
  async (t) => {
    const scene = new Scene(requestOf(['a', 'b']))
    stageAll(scene, ['a', 'b'])
    scene.report('a', released)
    scene.presence('hostDisconnected', 'b')
    scene.pass(59_999)
    t.equal(scene.target('b').state, 'releasing')
    scene.pass(1)
    t.equal(scene.target('b').state, 'unknown')
    t.same(scene.sent, ['a revert', 'b revert'])
    scene.report('a', wentBack('revert', 'old'))
    t.equal(scene.state.outcome, 'mixed')
    t.match(
      scene.state.reason,
      /host b: its agent has not been connected for 60 s; it goes back to release 6 when it returns/
    )
    const owed = scene.target('b').owedRevert
    scene.report('b', wentBack('revert', 'old'), owed ?? undefined)
    t.equal(scene.target('b').state, 'reverted', 'its late report is believed')
    t.equal(scene.state.outcome, 'mixed', 'the outcome was decided before')
  }
)

t.test(
  'sends nothing to a host that is away when its turn comes, and so knows that it did not switch',
  async (t) => {
    const scene = new Scene(requestOf(['a', 'b']))
    stageAll(scene, ['a', 'b'])
    scene.presence('hostDisconnected', 'b')
    scene.report('a', released)
    t.same(scene.sent, [])
    scene.pass(60_000)
    t.equal(scene.target('b').state, 'failed')
    scene.report('a', wentBack('revert', 'old'))
    t.equal(scene.state.outcome, 'reverted')
  }
)

t.test('takes silence while staging as a vote against', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  scene.presence('hostDisconnected', 'a')
  scene.report('b', staged())
  scene.pass(60_000)
  t.equal(scene.state.outcome, 'refused')
  t.equal(scene.target('a').code, 'lost')
})

t.test('takes a refused release as a host that did not switch', async (t) => {
  const scene = new Scene(requestOf(['a']))
  stageAll(scene, ['a'])
  scene.refuse('a', 'stale')
  t.equal(scene.state.outcome, 'reverted')
  t.equal(scene.target('a').serving, 'old')
})

t.test('ends mixed when a host cannot go back', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  stageAll(scene, ['a', 'b'])
  scene.report('a', released)
  scene.report('b', failed('old'))
  scene.refuse('a', 'policy')
  t.equal(scene.state.outcome, 'mixed')
  t.match(scene.state.reason, /host a: it refused to go back: no \(release 7 still runs there\)/)
})

t.test('cancels early without harm, late by taking everything back', async (t) => {
  const early = new Scene(requestOf(['a', 'b']))
  early.cancel()
  t.equal(early.state.outcome, 'cancelled')
  t.equal(early.state.reason, 'cancelled by jenkins; no container had been stopped')
  t.equal(early.effects.filter((effect) => effect.kind === 'abandonCommand').length, 2)

  const late = new Scene(requestOf(['a', 'b']))
  stageAll(late, ['a', 'b'])
  late.report('a', released)
  late.cancel()
  t.same(late.sent, ['a revert'])
  late.report('a', wentBack('revert', 'old'))
  late.report('b', failed('old', 'cancelled', 'cancelled'))
  t.equal(late.state.outcome, 'cancelled')
  t.equal(late.state.reason, 'cancelled by jenkins; all 2 switched hosts are back on release 6')
})

t.test('leaves hosts on the current release when a repair fails', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { digest: digestOf('6') }))
  scene.report('a', staged(true))
  scene.report('b', staged())
  t.same(scene.sent, ['b release'])
  scene.report('b', failed('old'))
  t.equal(scene.state.outcome, 'reverted')
  t.notOk(scene.all.some((effect) => effect.kind === 'sendCommand' && effect.order.kind === 'revert'))
  t.match(scene.state.reason, /release 6 stays the current one/)
})

t.test('is mixed when a failed repair leaves a host without what it served before', async (t) => {
  const scene = new Scene(requestOf(['a', 'b'], { digest: digestOf('6') }))
  scene.report('a', staged(true))
  scene.report('b', staged())
  scene.report('b', failed('none'))
  t.equal(scene.state.outcome, 'mixed')
  t.match(scene.state.reason, /host b: .*\(nothing runs there\)/)

  const again = requestOf(['a'], { release: 6, digest: digestOf('6'), recreate: true })
  const recreated = new Scene(again)
  recreated.report('a', staged(true))
  recreated.report('a', failed('none'))
  t.equal(recreated.state.outcome, 'mixed')
})

t.test('begins every wait anew after the controller was away', async (t) => {
  const scene = new Scene(requestOf(['a']))
  stageAll(scene, ['a'])
  scene.atMs += 10 * 3_600_000
  scene.restart()
  scene.pass(59_000)
  t.equal(scene.target('a').state, 'releasing')
  scene.presence('hostConnected', 'a')
  scene.report('a', released)
  t.equal(scene.state.outcome, 'succeeded')
})

t.test('turns what settling could not clean up into warnings', async (t) => {
  const scene = new Scene(requestOf(['a']))
  stageAll(scene, ['a'])
  scene.report('a', released)
  const index = scene.target('a').settling ?? undefined
  const warnings = ['a volume is in use']
  scene.report(
    'a',
    { status: 'succeeded', result: { kind: 'settle', warnings }, serving: 'new', release: 7 },
    index
  )
  t.same(scene.state.warnings, ['host a: a volume is in use'])
  t.equal(scene.state.outcome, 'succeeded')
  const before = scene.state
  scene.report('a', failed('none'), index)
  t.equal(scene.state, before, 'said twice, it changes nothing')
  t.equal(scene.target('a').agent, agentOf('a'))
})

t.test(
  'gives a command anew that was too old only because the clock was set forward, once a jump',
  async (t) => {
    const scene = new Scene(requestOf(['a']))
    scene.jump(3_600_000)
    scene.refuse('a', 'expired')
    t.same(scene.sent, ['a stage'])
    const [fresh] = scene.effects
    t.match(fresh, { index: 2, notAfterMs: scene.atMs + 120_000 })
    scene.jump(-3_600_000)
    scene.refuse('a', 'expired')
    t.same(scene.sent, [], 'a clock that was set back makes nothing too old')
    t.equal(scene.state.outcome, 'refused')
  }
)

t.test('gives no cancelled run anew, nor one that is simply too old', async (t) => {
  const slow = new Scene(requestOf(['a']))
  slow.refuse('a', 'expired')
  t.equal(slow.state.outcome, 'refused')
  const cancelled = new Scene(requestOf(['a']))
  stageAll(cancelled, ['a'])
  cancelled.cancel()
  cancelled.jump(3_600_000)
  cancelled.refuse('a', 'expired')
  t.same(cancelled.sent, [])
  t.equal(cancelled.state.outcome, 'cancelled')
})

t.test('judges a host at once whose agent never comes back, and owes it nothing', async (t) => {
  const voting = new Scene(requestOf(['a', 'b']))
  voting.report('a', staged())
  voting.gone('b', 'its agent was revoked by ops')
  t.equal(voting.state.outcome, 'refused')
  t.match(voting.state.reason, /host b: its agent was revoked by ops;/)

  const switching = new Scene(requestOf(['a', 'b']))
  stageAll(switching, ['a', 'b'])
  switching.gone('a', 'its agent was revoked by ops')
  t.equal(switching.target('a').state, 'unknown')
  t.equal(switching.state.outcome, 'mixed')
  t.match(switching.state.reason, /host a: its agent was revoked by ops \(what runs there is not known\)/)
  t.match(
    switching.effects.map(({ kind }) => kind),
    ['cancelCommand', 'abandonCommand'],
    'nothing is owed to it'
  )
})

t.test('does not wait for such a host when its turn comes, nor when it is to go back', async (t) => {
  const scene = new Scene(requestOf(['a', 'b']))
  stageAll(scene, ['a', 'b'])
  scene.gone('b', 'its agent was replaced')
  scene.presence('hostConnected', 'b')
  scene.report('a', released)
  scene.pass(0)
  t.equal(scene.target('b').state, 'failed', 'it never got the release')
  scene.gone('a', 'its agent was replaced')
  t.equal(scene.target('a').state, 'unknown')
  t.equal(scene.target('a').owedRevert, null)
  t.equal(scene.state.outcome, 'mixed')
})
