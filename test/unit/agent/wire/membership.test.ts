// How the agent takes what the controller says about its membership: held, duplicate, unknown, and keys that rotate.
import { generateSigningKey, type SigningKey, signJws } from '@longshore/protocol'
import t from 'tap'
import { identity } from '../../../../packages/agent/src/identity.ts'
import { startWireAgent } from '../../../support/wire-agent.ts'

type Controller = Awaited<ReturnType<typeof startWireAgent>>['controller']

/** The controller's second key, vouched for by its first. */
const rotate = async (controller: Controller): Promise<{ key: SigningKey; announcement: string }> => {
  const { key } = await generateSigningKey()
  const { installation } = controller
  const claims = {
    installation,
    number: 2,
    key: key.publicJwk,
    previous: controller.key.kid,
    announcedAtMs: 1
  }
  return { key, announcement: await signJws('key', claims, controller.key) }
}

t.test('a held agent asks again until it is approved, and says what it waits for', async (t) => {
  let asked = 0
  const { controller, warnings } = await startWireAgent(t, {
    refuseSession: () => {
      asked += 1
      return asked <= 2 ? { status: 403, code: 'held' } : undefined
    }
  })
  await (await controller.peer(0)).next('hello')
  t.equal(asked, 3)
  t.match(warnings, [
    { reason: 'held', message: /waiting for approval: longshore agents approve host-1/ },
    { reason: 'held' }
  ])
})

t.test('an agent whose key is used elsewhere says so, and comes back', async (t) => {
  const { controller, warnings } = await startWireAgent(t)
  const peer = await controller.peer(0)
  await peer.next('hello')
  // as the controller sends away the second of two live connections
  await peer.send([{ type: 'bye', reason: 'replaced', detail: 'another machine with this key is connected' }])
  await (await controller.peer(1)).next('hello')
  t.match(warnings[0], { reason: 'replaced', message: /another connection uses the same key/ })
})

t.test('an agent that is not known any more registers again, and goes on under its new name', async (t) => {
  const told: string[] = []
  const { controller, saved } = await startWireAgent(
    t,
    {
      refuseSession: () => (told.length === 0 ? { status: 401, code: 'unknown-agent' } : undefined)
    },
    [],
    async () => {
      told.push('enrolled')
      return identity.parse({ ...controller.identity, labels: { zone: 'b' } })
    }
  )
  await (await controller.peer(0)).next('hello')
  t.same(told, ['enrolled'])
  t.match(saved, [{ labels: { zone: 'b' } }])
})

t.test('keys that the controller announces in a session count from then on', async (t) => {
  const { controller, saved } = await startWireAgent(t)
  const peer = await controller.peer(0)
  await peer.next('hello')
  const { key, announcement } = await rotate(controller)
  const chain = [...controller.chain, announcement]
  await peer.send([{ type: 'keys', chain }])
  // a command that nobody signed is answered in order: the keys are stored by then
  await peer.send([{ type: 'command', jws: await signJws('command', { id: 'cmd_x' }, key) }])
  await peer.send([{ type: 'ack', reportsUpTo: 0 }])
  peer.socket.terminate()
  controller.state.behaviour = { signWith: key }
  await (await controller.peer(1)).next('hello')
  t.same(saved.at(-1)?.keyChain, chain)
})

t.test('a key that is not known yet is looked for in the chain at the controller', async (t) => {
  const { controller, saved, warnings } = await startWireAgent(t)
  const first = await controller.peer(0)
  await first.next('hello')
  const { key, announcement } = await rotate(controller)
  controller.chain.push(announcement)
  controller.state.behaviour = { signWith: key }
  await first.send([{ type: 'ack', reportsUpTo: 0 }])
  t.match(await first.closed, { code: 1008, reason: 'key-unknown' })
  await (await controller.peer(1)).next('hello')
  t.match(warnings[0], { reason: 'key-unknown' })
  t.equal(saved.at(-1)?.keyChain.length, 2)
})

t.test('a chain that does not go on from the known key is not followed', async (t) => {
  const { controller, saved } = await startWireAgent(t)
  const first = await controller.peer(0)
  await first.next('hello')
  const { key: stranger } = await generateSigningKey()
  const { installation } = controller
  const root = { installation, number: 1, key: stranger.publicJwk, previous: null, announcedAtMs: 0 }
  controller.chain.splice(0, 1, await signJws('key', root, stranger))
  controller.state.behaviour = { signWith: stranger }
  await first.send([{ type: 'ack', reportsUpTo: 0 }])
  await first.closed
  const second = await controller.peer(1)
  t.match(await second.closed, { code: 1008, reason: 'key-unknown' }, 'no hello for it')
  t.same(saved, [])
})

t.test('a supervisor is told how the agent stands, and a loop that hangs is found out', async (t) => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<never>()
  let refusals = 0
  const { controller, told, complaint, pass } = await startWireAgent(
    t,
    { refuseSession: () => (refusals++ === 0 ? { status: 401, code: 'unknown-agent' } : undefined) },
    [],
    () => {
      asked.resolve()
      return answer.promise
    }
  )
  await asked.promise
  t.equal(complaint(), null)
  pass(60_001)
  t.match(complaint(), /should have turned/)
  answer.reject(new Error('no answer'))
  const peer = await controller.peer(0)
  await peer.next('hello')
  await peer.send([{ type: 'ack', reportsUpTo: 0 }])
  t.equal(complaint(), null)
  t.match(told, ['connecting to the controller', /^not connected to the controller \(unknown-agent\)/])
})
