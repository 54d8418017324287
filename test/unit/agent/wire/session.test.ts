import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  formatId,
  generateEncryptionKey,
  generateSigningKey,
  limits,
  type RunReport,
  runReport,
  type SigningKey,
  signJws,
  verifyJws
} from '@longshore/protocol'
import t from 'tap'
import { createClock } from '../../../../packages/agent/src/adapters/clock.ts'
import { createControllerClient } from '../../../../packages/agent/src/adapters/http-client.ts'
import { enrol } from '../../../../packages/agent/src/enrol.ts'
import {
  facts,
  newCommandId,
  sampleReport,
  silent,
  silentSigns,
  startWireAgent
} from '../../../support/wire-agent.ts'
import { type Misbehaviour, startWireController } from '../../../support/wire-controller.ts'

const signedCommand = (controller: Awaited<ReturnType<typeof startWireController>>, more: object = {}) => ({
  id: newCommandId(),
  installation: controller.installation,
  agent: controller.agent,
  environment: 'staging',
  service: 'api',
  deployment: formatId('dep', randomBytes(13)),
  fence: { generation: 1, epoch: 1, index: 1 },
  notAfterMs: Date.now() + 60_000,
  timeLimitMs: 60_000,
  body: { kind: 'remove', release: null },
  ...more
})

t.test('a session begins with welcome and hello, carries commands, and ends with bye', async (t) => {
  const { controller, received, stop, ended } = await startWireAgent(t)
  const peer = await controller.peer(0)
  const hello = await peer.next('hello')
  t.equal(hello.hostName, 'host-1')
  t.ok(Math.abs(hello.clockSkewMs) < 1000)
  t.equal(hello.encryptionKey?.crv, 'X25519')
  const claims = signedCommand(controller)
  await peer.send([{ type: 'command', jws: await signJws('command', claims, controller.key) }])
  t.equal((await peer.next('accepted')).command, claims.id)
  t.same(received, [claims.id])
  stop()
  t.equal((await peer.next('bye')).reason, 'stopping')
  await ended
  t.equal((await peer.closed).code, 1000)
})

t.test('a command that is forged, for another agent or malformed is refused and never run', async (t) => {
  const { controller, received } = await startWireAgent(t)
  const peer = await controller.peer(0)
  const { key: stranger } = await generateSigningKey()
  const cases = [
    { claims: signedCommand(controller), key: stranger, code: 'forged' },
    {
      claims: signedCommand(controller, { agent: formatId('agt', randomBytes(13)) }),
      key: controller.key,
      code: 'forged'
    },
    { claims: signedCommand(controller, { surprise: 1 }), key: controller.key, code: 'malformed' }
  ]
  await peer.next('hello')
  for (const { claims, key, code } of cases) {
    await peer.send([{ type: 'command', jws: await signJws('command', claims, key) }])
    t.match(await peer.next('refused'), { command: claims.id, code })
  }
  t.same(received, [])
})

t.test(
  'a frame that is repeated, unsigned or under a foreign key closes the session, and another follows',
  async (t) => {
    const { controller } = await startWireAgent(t)
    const first = await controller.peer(0)
    await first.next('hello')
    const jws = await first.send([{ type: 'ack', reportsUpTo: 0 }])
    first.socket.send(jws)
    t.match(await first.closed, { code: 1008, reason: 'sequence-broken' })
    const second = await controller.peer(1)
    await second.next('hello')
    second.socket.send('garbage')
    t.match(await second.closed, { code: 1008, reason: 'frame-malformed' })
    const third = await controller.peer(2)
    await third.next('hello')
    await third.send([{ type: 'ack', reportsUpTo: 0 }], { key: (await generateSigningKey()).key })
    t.match(await third.closed, { code: 1008, reason: 'key-unknown' })
    await (await controller.peer(3)).next('hello')
  }
)

t.test('a welcome with another nonce is no welcome', async (t) => {
  const { controller } = await startWireAgent(t, { nonce: 'AAAAAAAAAAAAAAAAAAAAAA' })
  const peer = await controller.peer(0)
  controller.state.behaviour = {}
  t.match(await peer.closed, { code: 1008, reason: 'nonce-mismatch' })
  await (await controller.peer(1)).next('hello')
})

t.test('a controller with an unknown key gets no hello', async (t) => {
  const { controller } = await startWireAgent(t, { signWith: (await generateSigningKey()).key })
  const peer = await controller.peer(0)
  controller.state.behaviour = {}
  t.match(await peer.closed, { code: 1008, reason: 'key-unknown' })
  await (await controller.peer(1)).next('hello')
})

t.test("a refusal for the clock is answered with an assertion at the controller's time", async (t) => {
  const ahead = 60 * 60_000
  const seen: number[] = []
  const { controller, warnings } = await startWireAgent(t, {
    refuseSession: (claims) => {
      seen.push(claims.issuedAtMs - Date.now())
      const time = (jti: string, key: SigningKey) => signJws('time', { nowMs: Date.now() + ahead, jti }, key)
      return seen.length === 1 ? { status: 401, code: 'clock-skew', time } : undefined
    }
  })
  await (await controller.peer(0)).next('hello')
  t.equal(seen.length, 2)
  t.ok(Math.abs((seen[1] ?? 0) - ahead) < 10_000)
  t.match(warnings[0], { reason: 'clock-skew' })
})

t.test('reports are sent again in the next session until they are acknowledged', async (t) => {
  const reports = [sampleReport(1), sampleReport(2)]
  const expected = [...reports]
  const { controller } = await startWireAgent(t, {}, reports)
  const read = async (index: number): Promise<RunReport[]> => {
    const peer = await controller.peer(index)
    const found = [await peer.next('report'), await peer.next('report')]
    return Promise.all(
      found.map(({ jws }) => verifyJws('receipt', jws, () => controller.state.agentKey, runReport))
    )
  }
  t.same(await read(0), expected)
  ;(await controller.peer(0)).socket.terminate()
  t.same(await read(1), expected)
  const peer = await controller.peer(1)
  await peer.send([{ type: 'ack', reportsUpTo: 1 }])
  await peer.send([
    { type: 'command', jws: await signJws('command', signedCommand(controller), controller.key) }
  ])
  // answered in order, so the acknowledgement is done
  await peer.next('accepted')
  t.same(
    reports.map((report) => report.number),
    [2]
  )
})

t.test('a report without an acknowledgement is sent again in the same session', async (t) => {
  const { controller, pass } = await startWireAgent(t, {}, [sampleReport(1)])
  const peer = await controller.peer(0)
  const first = await peer.next('report')
  pass(limits.reportResendMs)
  t.same(await peer.next('report'), first)
})

t.test('a controller that says nothing is given up, and asked again', async (t) => {
  const { controller, warnings, pass } = await startWireAgent(t, { isSilent: true })
  const silent = await controller.peer(0)
  controller.state.behaviour = {}
  // the agent hears of the open socket no later than of this
  await new Promise((resolve) => silent.socket.ping(resolve))
  await once(silent.socket, 'pong')
  pass(limits.handshakeTimeoutMs)
  t.match(await silent.closed, { code: 1008, reason: 'silent' })
  const peer = await controller.peer(1)
  await peer.next('hello')
  pass(limits.pingIntervalMs)
  await once(peer.socket, 'ping')
  t.match(warnings[0], { reason: 'silent' })
})

t.test('registration', async (t) => {
  const attempt = async (behaviour: Misbehaviour) => {
    const controller = await startWireController(behaviour)
    t.teardown(() => controller.close())
    const { key: signing } = await generateSigningKey()
    const { publicJwk: encryption } = await generateEncryptionKey()
    const ports = {
      ask: createControllerClient(controller.url, null),
      clock: createClock(),
      log: silent,
      randomBytes: (count: number) => randomBytes(count),
      random: () => 0,
      signs: silentSigns
    }
    const token = await controller.joinToken()
    const request = { token, hostName: 'host-1', labels: { zone: 'a' }, facts, signing, encryption }
    return { controller, answer: enrol(ports, request, new AbortController().signal) }
  }

  t.test('gives the identity that the controller signed', async (t) => {
    const { controller, answer } = await attempt({})
    t.same(await answer, controller.identity)
    t.match(controller.state.enrolments, [{ hostName: 'host-1', labels: { zone: 'a' } }])
  })
  t.test('ends with the reason and what to do when the token is of no use', async (t) => {
    for (const code of ['expired', 'used-up', 'revoked', 'unknown-token', 'audience-mismatch']) {
      const { answer } = await attempt({ refuseEnrol: { status: 403, code } })
      await t.rejects(answer, {
        code: 'not-enrolled',
        exitCode: 77,
        message: new RegExp(`\\(${code}\\).*What to do`)
      })
    }
  })
  t.test('refuses an answer under a foreign key or for another request', async (t) => {
    const foreign = await attempt({ signWith: (await generateSigningKey()).key })
    await t.rejects(foreign.answer, { code: 'not-enrolled', message: /key-unknown/ })
    const other = await attempt({ nonce: 'AAAAAAAAAAAAAAAAAAAAAA' })
    await t.rejects(other.answer, { code: 'not-enrolled', message: /nonce-mismatch/ })
  })
})
