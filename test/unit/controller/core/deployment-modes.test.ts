// Release commands, and the deployments that bring nothing: rehearsals, plans, removals.
import t from 'tap'
import type { Requested, RequestedPart } from '../../../../packages/controller/src/core/deployment/events.ts'
import {
  current,
  digestOf,
  failed,
  planned,
  ranOnce,
  rehearsed,
  released,
  requestOf,
  requestOfServices,
  resolved,
  rolloutOf,
  Scene,
  staged,
  upgraded,
  wentBack
} from './deployment-scenes.ts'

const releaseCommand = { command: ['bin/migrate'], timeoutMs: 600_000 }
const prepared = (hosts: string[], change: Partial<RequestedPart> = {}) =>
  requestOf(hosts, { releaseCommand, ...change })
const inMode = (mode: Requested['mode'], request: Requested): Requested => ({ ...request, mode })
const away = (request: Requested, host: string): Requested => ({
  ...request,
  targets: request.targets.map((target) => ({ ...target, isConnected: target.host !== host }))
})
const stateOfCommand = (scene: Scene) => scene.state.parts[0]?.releaseCommand

t.test('runs the release command once, on one ready host, before anything is switched', async (t) => {
  const scene = new Scene(prepared(['a', 'b']))
  scene.report('a', staged())
  scene.report('b', staged())
  t.equal(scene.state.phase, 'preparing')
  t.same(scene.sent, ['a run-once'])
  t.match(scene.effects, [{ order: { command: ['bin/migrate'] }, timeLimitMs: 600_000 }])
  t.match(stateOfCommand(scene), { state: 'running', host: 'a' })
  scene.report('a', ranOnce)
  t.match(stateOfCommand(scene), { state: 'succeeded', exitCode: 0, log: ['migrated'] })
  t.same(scene.sent, ['a release'])
  scene.report('a', released)
  scene.report('b', released)
  t.equal(scene.state.outcome, 'succeeded')
})

t.test('refuses when the release command fails, and says that its effects stay', async (t) => {
  const scene = new Scene(prepared(['a']))
  scene.report('a', staged())
  scene.report('a', {
    status: 'failed',
    error: { code: 'command-failed', detail: 'exit code 3', step: null, log: ['no table'], exitCode: 3 },
    serving: 'old',
    release: 6
  })
  t.equal(scene.state.outcome, 'refused')
  t.match(stateOfCommand(scene), { state: 'failed', exitCode: 3, log: ['no table'] })
  t.equal(
    scene.state.reason,
    'the release command failed on host a: exit code 3; no container was stopped; what the release command did stays'
  )
})

t.test('never gives the release command again: a lost host makes its end unknown', async (t) => {
  const scene = new Scene(prepared(['a', 'b']))
  scene.report('a', staged())
  scene.report('b', staged())
  scene.restart()
  scene.presence('hostConnected', 'b')
  scene.pass(60_000)
  t.equal(scene.state.outcome, 'refused')
  t.match(stateOfCommand(scene), { state: 'unknown' })
  t.equal(
    scene.state.reason,
    'how the release command ended on host a is not known: its agent has not been connected for 60 s; the command may still be running there; no container was stopped; what the release command did stays'
  )
  const runs = scene.all.filter((effect) => effect.kind === 'sendCommand' && effect.order.kind === 'run-once')
  t.equal(runs.length, 1)
})

t.test('says of a cancelled release command whose host is lost that it may still run', async (t) => {
  const scene = new Scene(prepared(['a']))
  scene.report('a', staged())
  scene.cancel()
  scene.presence('hostDisconnected', 'a')
  scene.pass(60_000)
  t.equal(scene.state.outcome, 'cancelled')
  t.match(scene.state.reason, /ended on host a is not known: .*; the command may still be running there; no/)
})

t.test('takes a refusal of the release command as an end', async (t) => {
  const scene = new Scene(prepared(['a', 'b']))
  scene.report('a', staged())
  scene.report('b', staged())
  scene.refuse('a', 'policy')
  t.equal(scene.state.outcome, 'refused')
  t.match(scene.state.reason, /^the release command failed on host a: it was not run: no;/)
})

t.test('cancels a release command and waits for its end', async (t) => {
  const scene = new Scene(prepared(['a']))
  scene.report('a', staged())
  scene.cancel()
  t.same(
    scene.effects.map(({ kind }) => kind),
    ['cancelCommand']
  )
  scene.report('a', failed('old', 'cancelled', 'cancelled'))
  t.equal(scene.state.outcome, 'cancelled')
  t.equal(
    scene.state.reason,
    'cancelled by jenkins; no container had been stopped; what the release command did stays'
  )
})

t.test('prepares nothing for a service that runs everywhere, nor while a host is gone', async (t) => {
  const unchanged = new Scene(prepared(['a']))
  unchanged.report('a', staged(true))
  t.equal(unchanged.state.outcome, 'succeeded')

  const scene = new Scene(prepared(['a']))
  scene.presence('hostDisconnected', 'a')
  scene.report('a', staged())
  t.same(scene.sent, [])
  scene.pass(60_000)
  t.equal(scene.state.outcome, 'refused')
  t.match(scene.state.reason, /^not ready: host a: its agent has not been connected for 60 s/)
})

t.test('runs the release commands of several services in their order', async (t) => {
  const scene = new Scene(requestOfServices(['api', 'worker'], ['a'], { releaseCommand }))
  scene.report('a api', staged())
  scene.report('a worker', staged())
  t.same(scene.sent, ['a api run-once'])
  scene.report('a api', ranOnce)
  t.same(scene.sent, ['a worker run-once'])
  scene.report('a worker', failed('old', 'command-failed', 'exit code 1'))
  t.equal(scene.state.outcome, 'refused')
  t.match(scene.state.reason, /^the release command of worker failed on host a: exit code 1;/)
})

t.test('rehearses on every host at once and switches nothing', async (t) => {
  const scene = new Scene(inMode('rehearse', prepared(['a', 'b'])))
  scene.report('a', staged())
  scene.report('b', staged())
  t.same(scene.sent, ['a rehearse', 'b rehearse'])
  scene.report('a', rehearsed)
  scene.report('b', rehearsed)
  t.equal(scene.state.outcome, 'succeeded')
  t.equal(
    scene.state.reason,
    'release 7 became healthy beside what serves on all 2 hosts, and was removed again; nothing was switched'
  )
  t.same(
    scene.all.map((effect) => (effect.kind === 'sendCommand' ? effect.order.kind : effect.kind)),
    ['stage', 'stage', 'rehearse', 'rehearse']
  )
})

t.test('gives the verdict of every host when a rehearsal fails', async (t) => {
  const scene = new Scene(inMode('rehearse', requestOf(['a', 'b'])))
  scene.report('a', staged())
  scene.report('b', staged())
  scene.report('a', failed('old'))
  t.equal(scene.state.phase, 'rehearsing')
  scene.report('b', rehearsed)
  t.equal(scene.state.outcome, 'refused')
  t.equal(scene.states, 'a failed, b rehearsed')
  t.match(
    scene.state.reason,
    /^the rehearsal failed: host a: the container exited .*; no container was stopped$/
  )
})

t.test('waits for rehearsed containers to be gone when it is cancelled', async (t) => {
  const scene = new Scene(inMode('rehearse', requestOf(['a'])))
  scene.report('a', staged())
  scene.cancel()
  t.equal(scene.state.phase, 'rehearsing')
  scene.report('a', failed('old', 'cancelled', 'cancelled'))
  t.equal(scene.state.outcome, 'cancelled')
})

t.test('plans by looking only, with batches as they would be', async (t) => {
  const rollout = rolloutOf({ canary: { unit: 'count', value: 1 }, parallelism: { unit: 'count', value: 0 } })
  const scene = new Scene(inMode('plan', requestOf(['a', 'b', 'c', 'd'], { digest: null, rollout })))
  t.same(scene.sent, ['a resolve'])
  scene.report('a', resolved)
  t.same(scene.sent, ['a plan', 'b plan', 'c plan', 'd plan'])
  t.notOk(scene.all.some(({ kind }) => kind === 'pinRelease'))
  for (const host of ['a', 'b', 'c']) scene.report(host, planned())
  scene.report('d', planned([], true))
  t.equal(scene.state.outcome, 'succeeded')
  t.equal(scene.state.reason, 'release 7 would be brought to all 4 hosts in 2 batches; nothing was touched')
  t.same(
    scene.state.targets.map(({ batch }) => batch),
    [1, 2, 2, null]
  )
  t.match(scene.target('a').plan, { steps: ['fetch api:v7', 'stop api-r6-0', 'start api-r7-0'] })
})

t.test('says all that would stand in the way, of hosts that are away too', async (t) => {
  const request = away(inMode('plan', requestOf(['a', 'b', 'c'])), 'b')
  const refusals = [{ code: 'frozen', detail: 'staging is frozen by ops' }]
  const scene = new Scene({ ...request, refusals })
  t.same(scene.sent, ['a plan', 'c plan'])
  scene.report('a', planned(['port 80 is taken']))
  scene.report('c', planned())
  t.equal(scene.state.outcome, 'refused')
  t.equal(
    scene.state.reason,
    'it would be refused: staging is frozen by ops; host a: port 80 is taken; host b: its agent is not connected; no container was stopped'
  )
})

t.test('recognises the release that runs already in a plan', async (t) => {
  const scene = new Scene(inMode('plan', requestOf(['a'], { digest: digestOf('6') })))
  scene.report('a', planned([], true))
  t.equal(scene.state.reason, 'the 1 host is already on release 6; nothing would be restarted')
})

t.test('removes a service everywhere at once, without staging', async (t) => {
  const removal = { containers: null }
  const scene = new Scene(inMode('remove', requestOf(['a', 'b'], { removal, release: 6 })))
  t.same(scene.sent, ['a remove', 'b remove'])
  t.match(scene.effects, [{ order: { kind: 'remove', release: null, containers: null } }, {}])
  scene.report('a', wentBack('remove', 'none'))
  scene.report('b', wentBack('remove', 'none'))
  t.equal(scene.state.outcome, 'succeeded')
  t.equal(scene.state.reason, 'api is gone from all 2 hosts')
  t.equal(scene.states, 'a removed, b removed')
})

t.test('ends a removal mixed when a host is lost, and believes its late report', async (t) => {
  const removal = { containers: null }
  const scene = new Scene(inMode('remove', requestOf(['a', 'b'], { removal, release: 6 })))
  scene.report('a', wentBack('remove', 'none'))
  scene.presence('hostDisconnected', 'b')
  scene.cancel()
  scene.pass(60_000)
  t.equal(scene.state.outcome, 'mixed')
  t.equal(
    scene.state.reason,
    'api could not be removed everywhere; host b: its agent has not been connected for 60 s; it obeys when it returns (what runs there is not known)'
  )
  scene.report('b', wentBack('remove', 'none'), scene.target('b').owedRevert ?? undefined)
  t.equal(scene.states, 'a removed, b removed')
  t.equal(scene.state.outcome, 'mixed')
})

t.test('refuses a removal when a host is away, or leaves it to convergence', async (t) => {
  const request = away(inMode('remove', requestOf(['a', 'b'], { removal: { containers: null } })), 'b')
  t.match(new Scene(request).state, { outcome: 'refused' })
  const lenient = new Scene({ ...request, offline: 'skip' })
  t.same(lenient.sent, ['a remove'])
  lenient.report('a', wentBack('remove', 'none'))
  t.equal(lenient.state.outcome, 'succeeded')
  t.equal(lenient.state.reason, 'api is gone from the 1 host; host b was skipped and follows when it is back')
})

t.test('takes away the very containers that were named, on one host', async (t) => {
  const removal = { containers: ['0123456789ab'] }
  const scene = new Scene(inMode('converge', requestOf(['a'], { removal })))
  t.match(scene.effects, [{ order: { kind: 'remove', release: null, containers: ['0123456789ab'] } }])
})

t.test('goes on with what runs when it is preempted, and takes nothing back', async (t) => {
  const request = requestOf(['a'], { release: 6, digest: digestOf('6'), current, recreate: true })
  const scene = new Scene(inMode('converge', request))
  scene.report('a', staged(false, 'a', 5))
  t.same(scene.sent, ['a release'])
  scene.cancel()
  scene.report('a', released)
  t.equal(scene.state.outcome, 'cancelled')
  t.notOk(scene.all.some((effect) => effect.kind === 'sendCommand' && effect.order.kind === 'revert'))
})

const upgradeOf = (hosts: string[]) => inMode('upgrade', requestOf(hosts, { current: null, recreate: true }))

t.test('an upgrade of agents goes from batch to batch and takes nothing back', async (t) => {
  const scene = new Scene(upgradeOf(['a', 'b', 'c']))
  t.same(scene.sent, ['a upgrade'])
  scene.report('a', upgraded)
  t.same(scene.sent, ['b upgrade'])
  scene.presence('hostDisconnected', 'b')
  scene.presence('hostConnected', 'b')
  scene.report('b', failed('old', 'upgrade-failed'))
  t.same(scene.sent, [], 'the first that stays ends it')
  t.match(scene.state, { phase: 'ended', outcome: 'mixed' })
  t.match(
    scene.state.reason,
    /^host b: .* \(the former agent runs on\); 1 of 3 agents run api:v7, the others/
  )
  t.same(
    scene.state.targets.map(({ state, serving }) => `${state} ${serving}`),
    ['released new', 'failed old', 'untouched old']
  )
  t.same(scene.state.warnings, ['host a: its agent was 0.1.0 and is 0.2.0'])
})

t.test('an upgrade whose first agent stays is refused; one that all took has succeeded', async (t) => {
  const refused = new Scene(upgradeOf(['a', 'b']))
  refused.refuse('a', 'policy')
  t.match(refused.state, { outcome: 'refused', targets: [{ state: 'failed' }, { state: 'untouched' }] })
  const good = new Scene(upgradeOf(['a']))
  good.report('a', upgraded)
  t.match(good.state, { outcome: 'succeeded', reason: 'the 1 agent runs api:v7' })
})

t.test('an upgrade that is cancelled waits for the agent that was told, and then stops', async (t) => {
  const scene = new Scene(upgradeOf(['a', 'b']))
  scene.cancel()
  t.equal(scene.state.phase, 'rolling')
  scene.report('a', upgraded)
  t.match(scene.state, { outcome: 'mixed', reason: /^cancelled by .*; 1 of 2 agents run/ })
  const lost = new Scene(upgradeOf(['a', 'b']))
  lost.presence('hostDisconnected', 'a')
  lost.pass(60_000)
  t.match(lost.state, {
    outcome: 'mixed',
    reason:
      /which agent runs there is not known\); 0 of the other 1 agents run api:v7, the rest is as it was$/
  })
})
