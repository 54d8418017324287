// The adapter with the real HAProxy: traffic moves between upstream servers on loopback addresses, and whatever dies
// or is restarted, requests are answered by those that are wanted.
import { writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { processLife } from '../../packages/agent/src/adapters/haproxy/life.ts'
import {
  ask,
  freePort,
  held,
  keepAsking,
  openTestProxy,
  openWebSocket,
  routeOf,
  startUpstream
} from '../support/haproxy.ts'
import { testOnHaproxy } from '../support/real-parts.ts'
import { waitUntil } from '../support/wait.ts'

/** A proxy and two containers of one service, a and b, on one target port. */
const startScene = async (t: Test) => {
  const opened = await openTestProxy(t)
  const [published, target] = [await freePort(), await freePort()]
  const a = await startUpstream(t, 'a', '127.0.0.1', target)
  const b = await startUpstream(t, 'b', '127.0.0.2', target)
  return { ...opened, published, target, a, b }
}
const nothing = { requests: 0, upgraded: 0 }

testOnHaproxy(
  t,
  'a switch under requests loses none, and the former container is out after it',
  async (t) => {
    const { proxy, published, target, a, b } = await startScene(t)
    const route = (which: typeof a) => routeOf(published, target, [which])
    await proxy.route(route(a))
    const load = keepAsking(published)
    for (let round = 0; round < 5; round += 1) {
      const [next, former] = round % 2 === 0 ? [b, a] : [a, b]
      await proxy.route(route(next))
      t.equal(await ask(published), `200 ${next === a ? 'a' : 'b'}`)
      await waitUntil('the former one is out', async () => {
        const left = await proxy.detach(route(next), [former.id])
        return left.requests === 0 && left.upgraded === 0
      })
    }
    const { answers, failures } = await load.stop()
    t.same(failures, [])
    t.ok(answers > 0)
    const [figures] = await proxy.figures()
    t.match(figures, { service: 'web', errors: 0, upgraded: 0 })
    t.equal(figures?.requests, a.requests + b.requests)
    t.equal(
      figures?.containers.reduce((sum, one) => sum + one.requests, 0),
      figures?.requests
    )
  }
)

testOnHaproxy(t, 'what is attached is counted, refuses to be taken out, and can be closed', async (t) => {
  const { proxy, published, target, a, b } = await startScene(t)
  await proxy.route(routeOf(published, target, [a]))
  const socket = await openWebSocket(published)
  const slow = ask(published, '/hold')
  await waitUntil('the request is in', () => held.length > 0)
  const key = routeOf(published, target, [b])
  await t.rejects(proxy.detach(key, [a.id]), { code: 'proxy-error', message: /gets traffic/ })
  await proxy.route(key)
  t.same(await proxy.detach(key, [a.id]), { requests: 1, upgraded: 1 })
  t.match(await proxy.figures(), [{ sessions: 2, upgraded: 1 }])
  held.pop()?.end()
  t.equal(await slow, '200 a')
  await waitUntil('the request is out', async () => (await proxy.detach(key, [a.id])).requests === 0)
  t.same(await proxy.detach(key, [a.id]), { requests: 0, upgraded: 1 })
  t.equal(await socket.echo('x'), 'a:x')
  await proxy.closeConnections(key, [a.id])
  await socket.closed
  await waitUntil('it is out', async () => (await proxy.detach(key, [a.id])).upgraded === 0)
})

testOnHaproxy(t, 'back while it drains: the former container serves again', async (t) => {
  const { proxy, published, target, a, b } = await startScene(t)
  await proxy.route(routeOf(published, target, [a]))
  const socket = await openWebSocket(published)
  await proxy.route(routeOf(published, target, [b]))
  await proxy.detach(routeOf(published, target, [b]), [a.id])
  await proxy.route(routeOf(published, target, [a]))
  t.equal(await ask(published), '200 a')
  t.equal(await socket.echo('y'), 'a:y')
  t.same(await proxy.detach(routeOf(published, target, [a]), [b.id]), nothing)
  socket.close()
})

testOnHaproxy(t, 'a reload keeps a WebSocket, and its worker counts until it is closed', async (t) => {
  const { proxy, published, target, a, b, pids } = await startScene(t)
  const second = await freePort()
  await proxy.route(routeOf(published, target, [a]))
  const socket = await openWebSocket(published)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.equal(await ask(published, '/', agent), '200 a')
  const load = keepAsking(published)
  const before = pids().length
  // one more port: only a reload opens it
  await proxy.route(routeOf(second, target, [a], {}, 'other'))
  t.equal(await ask(second), '200 a')
  t.equal(pids().length, before + 1, 'the former worker lives for its WebSocket')
  t.equal(await socket.echo('x'), 'a:x')
  await proxy.route(routeOf(published, target, [b]))
  const key = routeOf(published, target, [b])
  t.same(await proxy.detach(key, [a.id]), { requests: 1, upgraded: 1 }, 'the idle client may still ask it')
  t.equal(await ask(published, '/', agent), '200 a', 'once, by the list of the former worker')
  t.equal(await ask(published, '/', agent), '200 b')
  await waitUntil('no idle client is left', async () => (await proxy.detach(key, [a.id])).requests === 0)
  t.same(await proxy.detach(key, [a.id]), { requests: 0, upgraded: 1 })
  await proxy.closeConnections(key, [a.id])
  await socket.closed
  await waitUntil('it is out', async () => (await proxy.detach(key, [a.id])).upgraded === 0)
  await waitUntil('the former worker has ended', () => pids().length === before)
  t.same((await load.stop()).failures, [])
  agent.destroy()
  await proxy.unroute(routeOf(second, target, [a], {}, 'other'))
  t.equal(await ask(second).catch((error) => error.code), 'ECONNREFUSED')
  t.equal(await ask(published), '200 b')
})

testOnHaproxy(
  t,
  'a HAProxy that is killed is brought back with the right routes, and it is told',
  async (t) => {
    const { proxy, published, target, a, b, lines, pids } = await startScene(t)
    await proxy.route(routeOf(published, target, [a]))
    await proxy.route(routeOf(published, target, [b]))
    await proxy.figures()
    t.equal(await ask(published), '200 b')
    const before = (await proxy.figures())[0]?.requests ?? 0
    let changes = 0
    proxy.onChange(() => {
      changes += 1
    })
    for (const pid of pids()) process.kill(pid, 'SIGKILL')
    await waitUntil('it answers again', () =>
      ask(published).then(
        (text) => text === '200 b',
        () => false
      )
    )
    await waitUntil('it is told', () => changes >= 2 && proxy.state().state === 'running')
    t.match(
      lines.map(({ level, message }) => `${level} ${message}`),
      [/^error HAProxy went away/, /^warn HAProxy runs again/]
    )
    t.ok(((await proxy.figures())[0]?.requests ?? 0) > before, 'its counters go on')
  }
)

testOnHaproxy(t, 'what somebody changed by hand is put right', async (t) => {
  const { proxy, published, target, a, folder } = await startScene(t)
  await proxy.route(routeOf(published, target, [a]))
  writeFileSync(join(folder, 'haproxy.cfg'), 'garbage')
  await proxy.ensure()
  await proxy.route(routeOf(published, target, [a]))
  t.equal(await ask(published), '200 a')
})

testOnHaproxy(t, 'the agent starts again: connections stay, and its wishes are remembered', async (t) => {
  const { proxy, published, target, a, b, folder, pids } = await startScene(t)
  await proxy.route(routeOf(published, target, [a]))
  const socket = await openWebSocket(published)
  const running = pids()
  await proxy.stop()
  const next = await openTestProxy(t, folder)
  t.match(next.proxy.routes(), [{ containers: [{ id: a.id }] }])
  await waitUntil('it is found', () => next.proxy.state().state === 'running')
  await next.proxy.route(routeOf(published, target, [b]))
  t.same(pids(), running)
  t.equal(await socket.echo('x'), 'a:x')
  t.equal(await ask(published), '200 b')
  t.same(await next.proxy.detach(routeOf(published, target, [b]), [a.id]), { requests: 0, upgraded: 1 })
  socket.close()
})

testOnHaproxy(t, 'two starts at once make one HAProxy', async (t) => {
  const { proxy, published, target, a, pids } = await startScene(t)
  await Promise.all([proxy.ensure(), proxy.ensure(), proxy.route(routeOf(published, target, [a]))])
  await waitUntil('there is one master with its worker', () => pids().length === 2)
  t.equal(await proxy.holdsPort({ hostIp: '127.0.0.1', published }), true)
  t.equal(await proxy.holdsPort({ hostIp: null, published }), false)
})

testOnHaproxy(t, 'one that was started before it had a port takes its first', async (t) => {
  const { proxy, published, target, a } = await startScene(t)
  await proxy.ensure()
  await proxy.route(routeOf(published, target, [a]))
  t.equal(await ask(published), '200 a')
})
testOnHaproxy(
  t,
  'another version takes over: no request is lost, a WebSocket ends with its client',
  async (t) => {
    let isOutdated = false
    const life: typeof processLife = (files) => ({
      ...processLife(files),
      isCurrent: async () => !isOutdated,
      start: async (how) => {
        isOutdated = false
        return processLife(files).start(how)
      }
    })
    const { proxy, pids } = await openTestProxy(t, undefined, { life })
    const [published, target] = [await freePort(), await freePort()]
    const a = await startUpstream(t, 'a', '127.0.0.1', target)
    const b = await startUpstream(t, 'b', '127.0.0.2', target)
    await proxy.route(routeOf(published, target, [a]))
    const former = pids()
    const socket = await openWebSocket(published)
    const load = keepAsking(published)
    isOutdated = true
    await proxy.ensure()
    t.ok(pids().some((pid) => !former.includes(pid)))
    await proxy.route(routeOf(published, target, [b]))
    t.equal(await ask(published), '200 b')
    t.equal(await socket.echo('x'), 'a:x')
    t.equal((await proxy.detach(routeOf(published, target, [b]), [a.id])).upgraded, 1)
    socket.close()
    await waitUntil('the former one has ended', () => !pids().some((pid) => former.includes(pid)))
    t.same(await proxy.detach(routeOf(published, target, [b]), [a.id]), nothing)
    const { answers, failures } = await load.stop()
    t.same(failures, [])
    t.ok(answers > 0)
  }
)
