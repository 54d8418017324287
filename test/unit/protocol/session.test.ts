// Both ends of a session against each other in memory, then each against what a bad peer or network does.
import {
  type AgentEndEffect,
  type AgentEndState,
  agentEndDueAtMs,
  beginAgentEnd,
  beginControllerEnd,
  type ControllerEndEffect,
  type ControllerEndState,
  closeFrameOf,
  controllerEndDueAtMs,
  createAgentCodec,
  createControllerCodec,
  type DownFrame,
  downFrame,
  type FrameToSend,
  generateSigningKey,
  importVerifyKey,
  newNonce,
  type ProtocolError,
  type SessionId,
  sessionIdOf,
  stepAgentEnd,
  stepControllerEnd,
  type UpFrame,
  upFrame,
  upMessage,
  welcomeMessage
} from '@longshore/protocol'
import fc from 'fast-check'
import t from 'tap'
import { hello as helloSample, welcome as welcomeSample } from '../../vectors/samples.ts'

const clientNonce = newNonce(new Uint8Array(16).fill(1))
const serverNonce = newNonce(new Uint8Array(16).fill(2))
const session = await sessionIdOf(clientNonce, serverNonce)
const welcome = welcomeMessage.parse({ ...welcomeSample, session, clientNonce, serverNonce })
const parsedHello = upMessage.parse(helloSample)
if (parsedHello.type !== 'hello') throw new RangeError('the sample is not hello')
const hello = parsedHello
const cancel = { type: 'cancel', command: 'cmd_0123456789abcdefghij' }
const accepted = { type: 'accepted', command: 'cmd_0123456789abcdefghij' }

const down = (seq: number, messages: unknown[], sid: string = session): DownFrame =>
  downFrame.parse({ sid, seq, at: 0, messages })
const up = (seq: number, messages: unknown[], sid: string = session): UpFrame =>
  upFrame.parse({ sid, seq, at: 0, messages })
const kinds = (effects: readonly { kind: string }[]): string[] => effects.map((effect) => effect.kind)
const codeOf = (effects: readonly (AgentEndEffect | ControllerEndEffect)[]): string | null => {
  const last = effects.at(-1)
  return last?.kind === 'close' && last.end.by === 'us' ? last.end.code : null
}

const greeted = (): AgentEndState => {
  const begun = beginAgentEnd({ clientNonce, atMs: 0 })
  return stepAgentEnd(begun, { kind: 'frame-received', atMs: 1, frame: down(1, [welcome]), session }).state
}
const establishedAgent = (): AgentEndState =>
  stepAgentEnd(greeted(), { kind: 'hello-prepared', atMs: 2, hello }).state
const establishedController = (): ControllerEndState => {
  const begun = beginControllerEnd({ welcome, atMs: 0 })
  return stepControllerEnd(begun.state, { kind: 'frame-received', atMs: 1, frame: up(1, [hello]) }).state
}
const receiveDown = (state: AgentEndState, frame: DownFrame, id: SessionId | null = null) =>
  stepAgentEnd(state, { kind: 'frame-received', atMs: 10, frame, session: id })
const receiveUp = (state: ControllerEndState, frame: UpFrame) =>
  stepControllerEnd(state, { kind: 'frame-received', atMs: 10, frame })

t.test('the two machines over signed frames open a session, exchange messages and part', async (t) => {
  const agentKey = (await generateSigningKey()).key
  const controllerKey = (await generateSigningKey()).key
  const agentVerify = await importVerifyKey(agentKey.publicJwk)
  const controllerVerify = await importVerifyKey(controllerKey.publicJwk)
  const told: string[] = []
  let agent = beginAgentEnd({ clientNonce, atMs: 0 })
  let controller: ControllerEndState
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const failed = (error: ProtocolError): void => {
    throw error
  }
  const controllerCodec = createControllerCodec(
    { key: controllerKey, keyOf: (kid) => (kid === agentKey.kid ? agentVerify : undefined), nowMs: () => 7 },
    {
      received: (frame) => carryController({ kind: 'frame-received', atMs: 3, frame }),
      signed: (jws) => agentCodec.receive(jws),
      failed
    }
  )
  const agentCodec = createAgentCodec(
    {
      key: agentKey,
      keyOf: (kid) => (kid === controllerKey.kid ? controllerVerify : undefined),
      nowMs: () => 7,
      clientNonce
    },
    {
      received: (received) => carryAgent({ kind: 'frame-received', atMs: 3, ...received }),
      signed: (jws) => controllerCodec.receive(new TextEncoder().encode(jws)),
      failed
    }
  )
  const carryAgent = (event: Parameters<typeof stepAgentEnd>[1]): void => {
    const step = stepAgentEnd(agent, event)
    agent = step.state
    for (const effect of step.effects) {
      told.push(`agent ${effect.kind}`)
      if (effect.kind === 'send') agentCodec.send(effect.frame)
      if (effect.kind === 'greet') carryAgent({ kind: 'hello-prepared', atMs: 4, hello })
      if (effect.kind === 'deliver') {
        carryAgent({ kind: 'close-wanted', atMs: 5, reason: 'stopping', detail: '' })
      }
    }
  }
  const applyController = (step: ReturnType<typeof stepControllerEnd>): void => {
    controller = step.state
    for (const effect of step.effects) {
      told.push(`controller ${effect.kind}`)
      if (effect.kind === 'send') controllerCodec.send(effect.frame)
      if (effect.kind === 'establish') {
        carryController({ kind: 'messages-queued', atMs: 4, messages: [{ type: 'ack', reportsUpTo: 1 }] })
      }
      if (effect.kind === 'close') finish()
    }
  }
  const carryController = (event: Parameters<typeof stepControllerEnd>[1]): void =>
    applyController(stepControllerEnd(controller, event))
  applyController(beginControllerEnd({ welcome, atMs: 0 }))
  await finished
  t.same(told, [
    'controller send',
    'agent greet',
    'agent send',
    'agent establish',
    'controller establish',
    'controller send',
    'agent deliver',
    'agent send',
    'agent close',
    'controller close'
  ])
  t.same(agent, { phase: 'closed', end: { by: 'us', reason: 'stopping', code: null, detail: '' } })
  await agentCodec.flushed()
  t.equal(agentCodec.sendingFrames, 0)
})

t.test('the agent refuses anything but its own welcome as the first frame', async (t) => {
  const begun = beginAgentEnd({ clientNonce, atMs: 0 })
  const first = (messages: unknown[], id: SessionId | null, seq = 1, sid: string = session) =>
    codeOf(receiveDown(begun, down(seq, messages, sid), id).effects)
  const other = await sessionIdOf(serverNonce, clientNonce)
  t.equal(first([cancel], null), 'message-unexpected')
  t.equal(first([welcome, cancel], session), 'message-unexpected')
  t.equal(first([{ ...welcome, clientNonce: serverNonce }], session), 'nonce-mismatch')
  t.equal(first([welcome], other), 'session-mismatch')
  t.equal(first([welcome], null), 'session-mismatch')
  t.equal(first([welcome], session, 1, other), 'session-mismatch')
  t.equal(first([welcome], session, 2), 'sequence-broken')
  t.same(kinds(receiveDown(begun, down(1, [welcome]), session).effects), ['greet'])
})

t.test('the controller counts a session only after hello alone', (t) => {
  const { state, effects } = beginControllerEnd({ welcome, atMs: 0 })
  t.same(effects, [{ kind: 'send', frame: { sid: session, seq: 1, messages: [welcome] } }])
  t.equal(codeOf(receiveUp(state, up(1, [accepted])).effects), 'message-unexpected')
  t.equal(codeOf(receiveUp(state, up(1, [hello, accepted])).effects), 'message-unexpected')
  const queued = stepControllerEnd(state, { kind: 'messages-queued', atMs: 1, messages: [] })
  t.same(queued.effects, [])
  t.same(kinds(receiveUp(state, up(1, [hello])).effects), ['establish'])
  t.same(kinds(receiveUp(state, up(1, [{ type: 'bye', reason: 'stopping' }])).effects), ['close'])
  t.end()
})

t.test('lost, repeated and foreign frames close the session with their code', async (t) => {
  const foreign = await sessionIdOf(serverNonce, clientNonce)
  const agent = establishedAgent()
  const controller = establishedController()
  t.same(kinds(receiveDown(agent, down(2, [cancel])).effects), ['deliver'])
  t.equal(codeOf(receiveDown(agent, down(3, [cancel])).effects), 'sequence-broken')
  t.equal(codeOf(receiveDown(agent, down(1, [cancel])).effects), 'sequence-broken')
  t.equal(codeOf(receiveDown(agent, down(2, [cancel], foreign)).effects), 'session-mismatch')
  t.equal(codeOf(receiveDown(agent, down(2, [welcome])).effects), 'message-unexpected')
  t.same(kinds(receiveUp(controller, up(2, [accepted])).effects), ['deliver'])
  t.equal(codeOf(receiveUp(controller, up(3, [accepted])).effects), 'sequence-broken')
  t.equal(codeOf(receiveUp(controller, up(1, [accepted])).effects), 'sequence-broken')
  t.equal(codeOf(receiveUp(controller, up(2, [accepted], foreign)).effects), 'session-mismatch')
  t.equal(codeOf(receiveUp(controller, up(2, [hello])).effects), 'message-unexpected')
  t.equal(codeOf(receiveDown(greeted(), down(2, [cancel])).effects), 'message-unexpected')
})

t.test('a refused frame closes with bye and the code, and then nothing more happens', (t) => {
  const refused = { kind: 'frame-refused', atMs: 9, code: 'signature-invalid', detail: '' } as const
  const agent = stepAgentEnd(establishedAgent(), refused)
  t.same(kinds(agent.effects), ['send', 'close'])
  t.same(agent.effects[0], {
    kind: 'send',
    frame: {
      sid: session,
      seq: 2,
      messages: [{ type: 'bye', reason: 'protocol', detail: 'signature-invalid' }]
    }
  })
  t.same(receiveDown(agent.state, down(2, [cancel])).effects, [])
  t.same(kinds(stepAgentEnd(beginAgentEnd({ clientNonce, atMs: 0 }), refused).effects), ['close'])
  const controller = stepControllerEnd(establishedController(), refused)
  t.same(kinds(controller.effects), ['send', 'close'])
  if (controller.state.phase !== 'closed') throw new RangeError('not closed')
  t.same(closeFrameOf(controller.state.end), { code: 1008, reason: 'signature-invalid' })
  t.equal(controllerEndDueAtMs(controller.state), undefined)
  t.end()
})

t.test('silence is pinged first and closes at the limit; life puts it off', (t) => {
  const agent = establishedAgent()
  t.equal(agentEndDueAtMs(agent), 15_001)
  t.same(stepAgentEnd(agent, { kind: 'time-passed', atMs: 15_000 }).effects, [])
  const pinged = stepAgentEnd(agent, { kind: 'time-passed', atMs: 15_001 })
  t.same(kinds(pinged.effects), ['ping'])
  t.equal(codeOf(stepAgentEnd(pinged.state, { kind: 'time-passed', atMs: 40_001 }).effects), 'silent')
  const heard = stepAgentEnd(pinged.state, { kind: 'life-heard', atMs: 16_000 })
  t.same(kinds(stepAgentEnd(heard.state, { kind: 'time-passed', atMs: 40_001 }).effects), ['ping'])
  const controller = establishedController()
  t.same(kinds(stepControllerEnd(controller, { kind: 'probe-wanted', atMs: 2 }).effects), ['ping'])
  t.equal(codeOf(stepControllerEnd(controller, { kind: 'time-passed', atMs: 40_001 }).effects), 'silent')
  t.end()
})

t.test('a handshake that takes too long closes as silent on both ends', (t) => {
  const late = { kind: 'time-passed', atMs: 10_000 } as const
  t.equal(codeOf(stepAgentEnd(beginAgentEnd({ clientNonce, atMs: 0 }), late).effects), 'silent')
  t.equal(codeOf(stepAgentEnd(greeted(), late).effects), 'silent')
  t.equal(codeOf(stepControllerEnd(beginControllerEnd({ welcome, atMs: 0 }).state, late).effects), 'silent')
  t.end()
})

t.test('what stands before bye is delivered, and a lost connection ends without bye', (t) => {
  const bye = { type: 'bye', reason: 'reconnect' }
  const step = receiveDown(establishedAgent(), down(2, [cancel, bye]))
  t.same(kinds(step.effects), ['deliver', 'close'])
  t.same(step.state, { phase: 'closed', end: { by: 'peer', reason: 'reconnect', detail: '' } })
  const lost = stepControllerEnd(establishedController(), { kind: 'connection-lost', atMs: 3 })
  t.same(lost.effects, [{ kind: 'close', end: { by: 'loss' } }])
  t.end()
})

t.test('the codec says frame-too-large, stops after a fault and keeps the order', async (t) => {
  const { key } = await generateSigningKey()
  const verifyKey = await importVerifyKey(key.publicJwk)
  const seqs: number[] = []
  const errors: string[] = []
  const codec = createControllerCodec(
    { key, keyOf: () => verifyKey, nowMs: () => 0 },
    {
      received: (frame) => seqs.push(frame.seq),
      signed: () => undefined,
      failed: (error) => errors.push(error.code)
    }
  )
  const texts: string[] = []
  const sender = createAgentCodec(
    { key, keyOf: () => verifyKey, nowMs: () => 0, clientNonce },
    { received: () => undefined, signed: (jws) => texts.push(jws), failed: () => undefined }
  )
  const frameOf = (seq: number): FrameToSend<UpFrame['messages'][number]> => ({
    sid: session,
    seq,
    messages: [{ type: 'bye', reason: 'stopping' }]
  })
  for (let seq = 1; seq <= 20; seq++) sender.send(frameOf(seq))
  await sender.flushed()
  for (const text of texts) codec.receive(text)
  const before = codec.receivingBytes
  codec.receive('x'.repeat(1024 * 1024 + 1))
  for (const text of texts) codec.receive(text)
  await new Promise<void>((resolve) => {
    const wait = (): void => {
      if (codec.receivingBytes === 0) resolve()
      else setImmediate(wait)
    }
    wait()
  })
  t.ok(before > 0)
  t.same(
    seqs,
    Array.from({ length: 20 }, (_, index) => index + 1)
  )
  t.same(errors, ['frame-too-large'])
})

t.test('many queued messages go out in order, each frame with the next number', (t) => {
  const state = establishedController()
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 700 }), (count) => {
      const messages = Array.from(
        { length: count },
        (_, index) => ({ type: 'ack', reportsUpTo: index }) as const
      )
      const { effects } = stepControllerEnd(state, { kind: 'messages-queued', atMs: 1, messages })
      const frames = effects.flatMap((effect) => (effect.kind === 'send' ? [effect.frame] : []))
      const isCounted = frames.every(
        (frame, index) => frame.seq === index + 2 && frame.messages.length <= 256
      )
      const sent = frames.flatMap((frame) => frame.messages)
      return isCounted && sent.every((message, index) => message === messages[index]) && sent.length === count
    }),
    { numRuns: 30 }
  )
  t.end()
})

t.test('any order of events ends at most once, with close last', (t) => {
  const event = fc.oneof(
    fc.record({ kind: fc.constant('life-heard' as const), atMs: fc.nat(50_000) }),
    fc.record({ kind: fc.constant('time-passed' as const), atMs: fc.nat(50_000) }),
    fc.record({ kind: fc.constant('connection-lost' as const), atMs: fc.nat(50_000) }),
    fc.record({ kind: fc.constant('hello-prepared' as const), atMs: fc.nat(9), hello: fc.constant(hello) }),
    fc.record({
      kind: fc.constant('frame-received' as const),
      atMs: fc.nat(50_000),
      frame: fc.constantFrom(down(1, [welcome]), down(1, [cancel]), down(2, [cancel]), down(3, [cancel])),
      session: fc.constantFrom(session, null)
    })
  )
  fc.assert(
    fc.property(fc.array(event, { maxLength: 20 }), (events) => {
      let state = beginAgentEnd({ clientNonce, atMs: 0 })
      const all: AgentEndEffect[] = []
      for (const next of events) {
        const step = stepAgentEnd(state, next)
        state = JSON.parse(JSON.stringify(step.state))
        all.push(...step.effects)
      }
      const closes = all.filter((effect) => effect.kind === 'close').length
      const isLast = closes === 0 || all.at(-1)?.kind === 'close'
      return isLast && closes === (state.phase === 'closed' ? 1 : 0)
    }),
    { numRuns: 200 }
  )
  t.end()
})
