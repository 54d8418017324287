// Sessions at their edges, on a real controller whose clocks are moved by hand: replays, copies of a disk, a
// controller that stops, agents that are revoked and removed.
import { randomBytes } from 'node:crypto'
import { connect as connectTcp } from 'node:net'
import { type AgentId, formatId, installationId, newNonce, signJws } from '@longshore/protocol'
import t, { type Test } from 'tap'
import { createControllerClient } from '../../packages/agent/src/adapters/http-client.ts'
import { leave } from '../../packages/agent/src/leave.ts'
import { systemRandom } from '../../packages/controller/src/adapters/clock/system-clock.ts'
import { assertionOf, connect, enrol, type Machine, newMachine, refusalOf } from '../support/agent-client.ts'
import { connectAnswering, obedient } from '../support/answering-agent.ts'
import { type RealController, specOf, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'
import { silent } from '../support/wire-agent.ts'
import { HandClock } from '../unit/controller/engine/engine-scene.ts'

/** Clocks stand still; the one that tells the date begins now, as agents' clocks do. */
const startScene = async (t: Test) => {
  const [clock, steadyClock] = [new HandClock(), new HandClock()]
  clock.move(Date.now() - clock.nowMs())
  const controller = await startRealController(t, {}, { clock, steadyClock, random: systemRandom })
  return { controller, clock, steadyClock }
}
const newAgent = async (controller: RealController, name: string): Promise<Machine> => {
  const machine = await newMachine(name)
  await enrol(controller.url, machine, (await controller.joinToken()).token)
  return machine
}
const stateOf = async ({ ask }: RealController, name: string): Promise<unknown> =>
  (await ask('GET', `/v1/agents/${name}`)).body['state']
const waitForState = (controller: RealController, name: string, state: string): Promise<unknown> =>
  waitUntil(`${name} is ${state}`, async () => (await stateOf(controller, name)) === state)

t.test('an assertion is good for one session', async (t) => {
  const { controller } = await startScene(t)
  const machine = await newAgent(controller, 'replayed')
  const assertion = await assertionOf(machine, controller.installation)
  await t.rejects(refusalOf(controller.url, assertion), /the session was opened/)
  t.match(await refusalOf(controller.url, assertion), { status: 401, body: { code: 'replayed' } })
})

t.test('an expired join token is refused as expired, and its agents stay', async (t) => {
  const { controller, clock } = await startScene(t)
  const join = await controller.joinToken({ ttlMs: 60_000 })
  const machine = await newMachine('early')
  const first = await enrol(controller.url, machine, join.token)
  clock.move(60_000)
  t.match(await enrol(controller.url, await newMachine('late'), join.token), {
    status: 403,
    body: { code: 'expired' }
  })
  t.match((await enrol(controller.url, machine, join.token)).body, { agent: first.body['agent'] })
})

t.test('a second session replaces a first one that answers no ping', async (t) => {
  const { controller, steadyClock } = await startScene(t)
  const machine = await newAgent(controller, 'cloned')
  const trusted = await controller.trust()
  const first = await connect(controller.url, machine, trusted, { answersPings: false })
  await waitForState(controller, 'cloned', 'connected')
  const probed = new Promise((resolve) => first.socket.once('ping', resolve))
  const second = await connect(controller.url, machine, trusted)
  await probed
  steadyClock.move(5000)
  t.match(await first.end, { by: 'peer', reason: 'replaced' })
  await waitForState(controller, 'cloned', 'connected')
  second.socket.terminate()
  await waitForState(controller, 'cloned', 'silent')
})

t.test('a program that is tried beside the agent is answered, and displaces nobody', async (t) => {
  const { controller } = await startScene(t)
  const machine = await newAgent(controller, 'trying')
  const trusted = await controller.trust()
  const agent = await connect(controller.url, machine, trusted)
  await waitForState(controller, 'trying', 'connected')
  const isAnswered = Promise.withResolvers<void>()
  const tried = await connect(controller.url, machine, trusted, {
    isCandidate: true,
    hear: () => isAnswered.resolve()
  })
  await isAnswered.promise
  t.same(tried.delivered, [{ type: 'ack', reportsUpTo: 0 }])
  tried.socket.terminate()
  await tried.closed
  agent.send([{ type: 'accepted', command: `cmd_${'0'.repeat(20)}` as never }])
  t.match((await controller.ask('GET', '/v1/agents/trying')).body, { state: 'connected' })
  const alone = await newAgent(controller, 'alone')
  await connect(controller.url, alone, trusted, { isCandidate: true })
  t.match((await controller.ask('GET', '/v1/agents/alone')).body, { state: 'silent', agentVersion: null })
})

t.test('a session that says nothing for 40 seconds is over', async (t) => {
  const { controller, steadyClock } = await startScene(t)
  const machine = await newAgent(controller, 'quiet')
  const session = await connect(controller.url, machine, await controller.trust(), { answersPings: false })
  await waitForState(controller, 'quiet', 'connected')
  steadyClock.move(40_000)
  t.equal((await session.closed).reason, 'silent')
  await waitForState(controller, 'quiet', 'silent')
})

t.test('a controller that stops lets nobody in any more', async (t) => {
  const { controller } = await startScene(t)
  const machine = await newAgent(controller, 'staying')
  const late = await newAgent(controller, 'late')
  const session = await connect(controller.url, machine, await controller.trust())
  await waitForState(controller, 'staying', 'connected')
  // its end of the closing handshake stays away, so that the stop takes its time
  session.socket.pause()
  const stopping = controller.stop()
  t.match(await refusalOf(controller.url, await assertionOf(late, controller.installation)), {
    status: 503,
    body: { code: 'stopping' }
  })
  t.match(await controller.ask('GET', '/readyz'), { status: 503, body: { code: 'stopping' } })
  t.equal((await controller.ask('GET', '/healthz')).status, 200)
  await stopping
  await t.rejects(controller.ask('GET', '/healthz'), 'nobody listens')
})

t.test('a host that is revoked while it switches is lost, and the deployment says so', async (t) => {
  const { controller, clock, steadyClock } = await startScene(t)
  const { ask } = controller
  const machine = await newAgent(controller, 'leaving')
  const trusted = await controller.trust()
  const session = await connectAnswering(controller.url, machine, trusted, (command) =>
    command.body.kind === 'release' ? undefined : obedient(command)
  )
  await waitForState(controller, 'leaving', 'connected')
  await ask('PUT', '/v1/environments/staging/services/it/spec', { body: { spec: specOf() } })
  const request = { service: 'it', environment: 'staging', what: { by: 'tag', tag: '1' } }
  const id = textOf((await ask('POST', '/v1/deployments', { body: request })).body, 'id')
  const view = async () => (await ask('GET', `/v1/deployments/${id}`)).body
  await waitUntil('the host switches', async () => (await view())['phase'] === 'rolling')
  t.equal((await ask('POST', '/v1/agents/leaving/revoke')).status, 200)
  t.match(await session.end, { by: 'peer', reason: 'revoked' })
  await waitForState(controller, 'leaving', 'revoked')
  t.match(await refusalOf(controller.url, await assertionOf(machine, controller.installation)), {
    status: 403,
    body: { code: 'revoked', detail: /revoked by admin/ }
  })
  await waitUntil('the deployment to end', async () => {
    for (const each of [clock, steadyClock]) each.move(1000)
    return (await view())['phase'] === 'ended'
  })
  t.match(await view(), {
    outcome: 'mixed',
    targets: [{ host: 'leaving', state: 'unknown', serving: 'unknown' }]
  })
  t.equal((await ask('DELETE', '/v1/agents/leaving')).status, 204)
  t.equal((await ask('GET', '/v1/agents/leaving')).status, 404)
  t.match(await view(), { targets: [{ host: 'leaving' }] }, 'what it did is still told')
  t.match(await refusalOf(controller.url, await assertionOf(machine, controller.installation)), {
    body: { code: 'unknown-agent' }
  })
  const again = await newAgent(controller, 'leaving')
  await connect(controller.url, again, trusted)
  await waitForState(controller, 'leaving', 'connected')
})

t.test('an agent that is removed while it is connected is told so', async (t) => {
  const { controller } = await startScene(t)
  const machine = await newAgent(controller, 'removed')
  const session = await connect(controller.url, machine, await controller.trust())
  await waitForState(controller, 'removed', 'connected')
  t.equal((await controller.ask('DELETE', '/v1/agents/removed')).status, 204)
  t.match(await session.end, { by: 'peer', reason: 'revoked' })
})

/** The agent's own half, over HTTP. @param skewMs of the host's clock */
const sayGoodbye = async (
  url: string,
  { installation, key: trusted }: Awaited<ReturnType<RealController['trust']>>,
  { key }: Machine,
  { skewMs = 0, by = key } = {}
): Promise<string[]> => {
  const said: string[] = []
  const log = { ...silent, info: (_: object, message: string) => void said.push(message) }
  const ports = {
    ask: createControllerClient(new URL(url), null),
    clock: { nowMs: () => Date.now() + skewMs },
    log,
    randomBytes
  }
  const agent = formatId<AgentId>('agt', randomBytes(13))
  const identity = { installation: installationId.parse(installation), agent }
  const signing = { ...by, kid: key.kid }
  await leave(ports, { identity, signing, keyOf: (kid) => (kid === trusted.kid ? trusted : undefined) })
  return said
}

t.test('an agent that leaves is forgotten, connected or held; a second goodbye is no fault', async (t) => {
  const { controller } = await startScene(t)
  const { ask, url } = controller
  const machine = await newAgent(controller, 'leaving')
  const trust = await controller.trust()
  const session = await connect(url, machine, trust)
  t.same(await sayGoodbye(url, trust, machine), ['this host has left'])
  t.match(await session.end, { by: 'peer', reason: 'revoked', detail: 'removed by leaving' })
  t.same((await ask('GET', '/v1/agents')).body, [])
  t.match(await refusalOf(url, await assertionOf(machine, controller.installation)), {
    body: { code: 'unknown-agent' }
  })
  const again = await sayGoodbye(url, trust, machine)
  t.same(again, ['the controller did not count this host any more'])

  await newAgent(controller, 'twice')
  const held = await newAgent(controller, 'twice')
  t.same(await sayGoodbye(url, trust, held), ['this host has left'])
  t.equal(await stateOf(controller, 'twice'), 'silent', 'the one that has the name stays')
})

t.test('a goodbye counts only if the agent said it, and lately by its corrected clock', async (t) => {
  const { controller } = await startScene(t)
  const [url, trust] = [controller.url, await controller.trust()]
  const machine = await newAgent(controller, 'late')
  const stranger = await newMachine('late')
  await t.rejects(sayGoodbye(url, trust, machine, { by: stranger.key }), {
    code: 'still-registered',
    exitCode: 69,
    message: /signature-invalid/
  })
  const { key, jti, issuedAtMs } = { key: machine.key.kid, jti: newNonce(randomBytes(16)), issuedAtMs: 0 }
  const claims = { installation: controller.installation, key, jti, issuedAtMs }
  const send = async (kind: 'leave' | 'assertion') =>
    controller.ask('POST', '/v1/agents/leave', {
      body: { request: await signJws(kind, claims, machine.key) }
    })
  t.match(await send('leave'), { status: 401, body: { code: 'clock-skew' } }, 'an old one, held back')
  t.match(await send('assertion'), { body: { code: 'type-refused' } })
  t.equal(await stateOf(controller, 'late'), 'silent')
  t.same(await sayGoodbye(url, trust, machine, { skewMs: -3_600_000 }), ['this host has left'])
  await controller.stop()
  await t.rejects(sayGoodbye(url, trust, machine), { code: 'still-registered' }, 'nobody was told')
})

t.test('something that is no WebSocket gets a problem', async (t) => {
  const { controller } = await startScene(t)
  const { hostname, port } = new URL(controller.url)
  const socket = connectTcp(Number(port), hostname)
  socket.write('GET /v1/elsewhere HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n')
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  t.match(text, /^HTTP\/1\.1 404 .*\r\n[\s\S]*application\/problem\+json[\s\S]*"code":"unknown-route"/)
})
