// The real `longshore` process against a controller's stand-in: exit codes, signals, lost connections, terminals.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import t from 'tap'
import { outcomes } from '../../packages/controller/src/api/schemas.ts'
import { cliMain, environmentFor, run, saysOnStderr, withStandIn } from '../support/cli-process.ts'
import {
  at,
  deployment,
  endedAs,
  deploymentNumber as id,
  json,
  openEvents,
  problem,
  sendEvent,
  startStandIn,
  target
} from '../support/controller-stand-in.ts'

const deployArgs = ['deploy', 'web', '--env', 'staging', '--tag', '1.2.3']
const events = `GET /v1/deployments/${id}/events`

const codes = { succeeded: 0, reverted: 1, refused: 4, mixed: 5, cancelled: 6 } as const

for (const outcome of outcomes) {
  t.test(`a deployment that ends ${outcome} ends the command with ${String(codes[outcome])}`, async (t) => {
    const standIn = await withStandIn(t)
    standIn.on(events, (response) => {
      openEvents(response)
      sendEvent(response, { type: 'deployment', at, deployment: deployment({ phase: 'staging' }) })
      sendEvent(response, {
        type: 'ended',
        at,
        deployment: endedAs(outcome, [target('a', { state: 'released' })])
      })
      response.end()
    })
    const { code, out, err } = await run(standIn.url, [...deployArgs, '--output', 'json']).ended
    t.equal(code, codes[outcome], err)
    const document = JSON.parse(out)
    t.match(document, { id, outcome, service: 'web', environment: 'staging', release: 8, digest: null })
    t.same(document.targets, [{ service: 'web', host: 'a', state: 'released', serving: 'old', batch: null }])
    t.same(standIn.asked[0]?.body, {
      service: 'web',
      environment: 'staging',
      what: { by: 'tag', tag: '1.2.3' },
      mode: 'deploy',
      recreate: false,
      offline: 'fail',
      replace: null,
      reason: null,
      idempotencyKey: null
    })
    t.equal(standIn.asked[0]?.authorization, 'Bearer secret-token')
    t.match(err, /^\S+Z web in staging: 1.2.3 as release 8, deployment dep_/m)
    t.same(standIn.unprepared, [])
  })
}

t.test('refusals before a deployment end with the code of their kind', async (t) => {
  const standIn = await withStandIn(t)
  const cases = [
    { status: 401, code: 'unauthenticated', exit: 3 },
    { status: 403, code: 'forbidden', exit: 3 },
    {
      status: 404,
      code: 'unknown-service',
      exit: 2,
      extra: { known: ['api', 'web2'] },
      says: /there are: api, web2/
    },
    { status: 409, code: 'no-targets', exit: 4 },
    { status: 500, code: 'internal', exit: 7, says: /said why[\s\S]*may have been accepted all the same/ }
  ]
  for (const { status, code, exit, extra, says } of cases) {
    standIn.on('POST /v1/deployments', (response) => problem(response, status, code, 'said why', extra))
    const ended = await run(standIn.url, deployArgs).ended
    t.equal(ended.code, exit, code)
    t.match(ended.err, says ?? /said why/)
    t.equal(ended.out, '', 'no result')
  }
})

t.test('a locked service is told with who holds it, also as JSON', async (t) => {
  const standIn = await withStandIn(t)
  const lock = {
    deployment: id,
    holder: 'jenkins',
    sinceMs: Date.parse(at),
    reason: null,
    service: 'web',
    release: 7
  }
  standIn.on('POST /v1/deployments', (response) => problem(response, 409, 'locked', 'busy', { lock }))
  const { code, out, err } = await run(standIn.url, [...deployArgs, '--output', 'json']).ended
  t.equal(code, 4)
  t.match(err, /held by deployment dep_\w+ of release 7, requested by jenkins at 2026-01-02T03:04:05Z/)
  t.match(JSON.parse(out), { id: null, outcome: 'refused', code: 'locked', lock })
})

t.test('--detach prints the id alone and ends', async (t) => {
  const standIn = await withStandIn(t)
  const { code, out } = await run(standIn.url, [...deployArgs, '--detach']).ended
  t.equal(code, 0)
  t.equal(out, `${id}\n`)
})

t.test('SIGTERM cancels the deployment and waits for its end', async (t) => {
  const standIn = await withStandIn(t)
  const opened = standIn.next(events)
  const running = run(standIn.url, deployArgs)
  const stream = await opened
  openEvents(stream)
  sendEvent(stream, { type: 'deployment', at, deployment: deployment({ phase: 'rolling' }) })
  const cancelled = standIn.next(`POST /v1/deployments/${id}/cancel`)
  running.child.kill('SIGTERM')
  json(await cancelled, 202, deployment({ isCancelRequested: true }))
  sendEvent(stream, { type: 'ended', at, deployment: endedAs('cancelled') })
  const { code, err } = await running.ended
  t.equal(code, 6)
  t.match(err, /SIGTERM: cancelling the deployment/)
})

t.test('a signal before the controller answered cancels once it has', async (t) => {
  const standIn = await withStandIn(t)
  const posted = standIn.next('POST /v1/deployments')
  const opened = standIn.next(events)
  const cancelled = standIn.next(`POST /v1/deployments/${id}/cancel`)
  const running = run(standIn.url, deployArgs)
  const answer = await posted
  const said = saysOnStderr(running, 'cancelling')
  running.child.kill('SIGINT')
  await said
  json(answer, 202, deployment())
  json(await cancelled, 202, deployment())
  const stream = await opened
  openEvents(stream)
  sendEvent(stream, { type: 'ended', at, deployment: endedAs('cancelled') })
  t.equal((await running.ended).code, 6)
})

t.test('a second signal stops waiting and prints the id', async (t) => {
  const standIn = await withStandIn(t)
  const opened = standIn.next(events)
  const cancelled = standIn.next(`POST /v1/deployments/${id}/cancel`)
  const running = run(standIn.url, deployArgs)
  openEvents(await opened)
  running.child.kill('SIGTERM')
  json(await cancelled, 202, deployment())
  running.child.kill('SIGTERM')
  const { code, out, err } = await running.ended
  t.equal(code, 7)
  t.equal(out, `${id}\n`)
  t.match(err, `longshore attach ${id}`)
})

t.test('--on-abort detach leaves the deployment running', async (t) => {
  const standIn = await withStandIn(t)
  const opened = standIn.next(events)
  const running = run(standIn.url, [...deployArgs, '--on-abort', 'detach'])
  openEvents(await opened)
  running.child.kill('SIGTERM')
  const { code, out } = await running.ended
  t.equal(code, 7)
  t.equal(out, `${id}\n`)
  t.same(standIn.unprepared, [], 'nothing was cancelled')
})

t.test('the time limit ends the wait, not the deployment', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, openEvents)
  const { code, out } = await run(standIn.url, [...deployArgs, '--timeout', '2s', '--output', 'json']).ended
  t.equal(code, 7)
  t.match(JSON.parse(out), { id, outcome: 'unknown', reason: /had not ended after 2s/ })
  t.same(standIn.unprepared, [])
})

t.test('a restart of the controller does not end the wait', async (t) => {
  const first = await startStandIn()
  first.on('POST /v1/deployments', (response) => json(response, 202, deployment()))
  const opened = first.next(events)
  const running = run(first.url, deployArgs)
  openEvents(await opened)
  const lost = saysOnStderr(running, 'trying again')
  await first.stop()
  await lost
  const second = await startStandIn(Number(new URL(first.url).port))
  t.teardown(() => second.stop())
  second.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'deployment', at, deployment: deployment({ phase: 'rolling' }) })
    sendEvent(response, { type: 'ended', at, deployment: endedAs('succeeded') })
    response.end()
  })
  const { code, err } = await running.ended
  t.equal(code, 0, err)
  t.match(err, /connected to the controller again/)
})

t.test('an answer that never came is not called a failure', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on('POST /v1/deployments', (response) => void response.destroy())
  const { code, err } = await run(standIn.url, deployArgs).ended
  t.equal(code, 7)
  t.match(err, /may have been accepted all the same/)
})

t.test('ndjson has one object a line and ends with the result', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('reverted') })
    response.end()
  })
  const { code, out } = await run(standIn.url, [...deployArgs, '--output', 'ndjson']).ended
  t.equal(code, 1)
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.same(
    lines.map(({ type }) => type),
    ['deployment', 'ended', 'result']
  )
  t.match(lines.at(-1), { outcome: 'reverted', exitCode: 1, at: /Z$/ })
})

t.test('on a terminal the hosts are redrawn in place and the cursor comes back', async (t) => {
  const standIn = await withStandIn(t)
  let stream: ServerResponse | undefined
  const progress = { step: 'pull', position: 2, total: 5, bytes: { done: 30_000_000, total: 60_000_000 } }
  standIn.on(events, (response) => {
    openEvents(response)
    const targets = [target('host-a', { state: 'staging', progress })]
    sendEvent(response, { type: 'deployment', at, deployment: deployment({ phase: 'staging', targets }) })
    stream = response
  })
  const command = `stty cols 100 rows 20; exec '${process.execPath}' '${cliMain}' ${deployArgs.join(' ')}`
  const child = spawn('script', ['-qefc', command, '/dev/null'], { env: environmentFor(standIn.url) })
  child.stdin.end()
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString()
    // ends the deployment once its bar was drawn twice
    if (stream === undefined || out.split('50 %').length < 3) return
    const done = [target('host-a', { state: 'released', serving: 'new' })]
    sendEvent(stream, { type: 'ended', at, deployment: endedAs('succeeded', done) })
    stream.end()
    stream = undefined
  })
  const [code] = await once(child, 'close')
  t.equal(code, 0, out)
  t.ok(out.includes('\u001b[?25l'), 'the cursor is hidden')
  t.match(out, /host-a {2}.*staging.*2\/5 pull {2}█{10}░{10} {2}50 % {2}30.0 MB of 60.0 MB/)
  t.ok(out.includes('\u001b[2A\r'), 'frames go over each other')
  t.ok(out.lastIndexOf('\u001b[?25h') > out.lastIndexOf('\u001b[?25l'), 'the cursor is back')
  t.match(out, /HOST +STATE +SERVING/)
})

t.test('a cancel that comes too late tells how the deployment ended', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(`POST /v1/deployments/${id}/cancel`, (response) =>
    problem(response, 409, 'already-ended', 'the deployment has ended')
  )
  standIn.on(`GET /v1/deployments/${id}`, (response) => json(response, 200, endedAs('succeeded')))
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'deployment', at, deployment: endedAs('succeeded') })
    response.end()
  })
  const { code, out, err } = await run(standIn.url, ['cancel', id]).ended
  t.equal(code, 0, err)
  t.match(out, /^succeeded: web in staging/)
  t.match(err, /has ended/)
})

const moved = { switchMs: 4, gapMs: 812, drainMs: 1900, closed: { requests: 0, upgraded: 2 } }

t.test('connections are told while they are drained, and how traffic moved at the end', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, (response) => {
    const begun = deployment({ phase: 'rolling', targets: [target('a', { state: 'releasing' })] })
    const connections = { requests: 3, upgraded: 12 }
    const progress = { step: 'drain-containers', position: 7, total: 9, connections }
    const host = begun.targets[0]?.host as never
    openEvents(response)
    sendEvent(response, { type: 'deployment', at, deployment: begun })
    sendEvent(response, { type: 'progress', at, id, host, progress })
    const released = target('a', { state: 'released', serving: 'new', traffic: moved })
    sendEvent(response, { type: 'ended', at, deployment: endedAs('succeeded', [released]) })
    response.end()
  })
  const text = await run(standIn.url, deployArgs).ended
  t.equal(text.code, 0, text.err)
  t.match(text.err, 'a: step 7 of 9, drain-containers, draining: 3 requests, 12 upgraded')
  t.match(text.out, 'switched in 4 ms, gap 812 ms, drained in 1.9s, 2 connections closed')
  const lines = (await run(standIn.url, [...deployArgs, '--output', 'ndjson']).ended).out.trim().split('\n')
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      { type: 'deployment' },
      { type: 'deployment' },
      { type: 'progress', progress: { connections: { requests: 3, upgraded: 12 } } },
      { type: 'ended' },
      { type: 'result', outcome: 'succeeded', targets: [{ host: 'a', traffic: moved }] }
    ]
  )
})

t.test('a plan says what to know beforehand, as text and as JSON', async (t) => {
  const standIn = await withStandIn(t)
  const notices = ['port 80 is taken over from the container web-1: about 2 s without service']
  const plan = { isRunning: false, serves: null, steps: [], refusals: [], changes: [], notices }
  const planned = {
    ...endedAs('succeeded', [target('a', { state: 'planned', plan })]),
    mode: 'plan' as const
  }
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'ended', at, deployment: planned })
    response.end()
  })
  const text = await run(standIn.url, [...deployArgs, '--plan']).ended
  t.match(text.out, `  note     ${notices[0]}`)
  const document = await run(standIn.url, [...deployArgs, '--plan', '--output', 'json']).ended
  t.match(JSON.parse(document.out), { targets: [{ plan: { notices } }] })
})
