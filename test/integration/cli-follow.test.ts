// The real `longshore` process beside `deploy` itself: events that a newer or a broken controller sends, and the
// commands that go back, come back and cancel.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { run, withStandIn } from '../support/cli-process.ts'
import {
  at,
  deployment,
  endedAs,
  deploymentNumber as id,
  json,
  openEvents,
  problem,
  sendEvent
} from '../support/controller-stand-in.ts'

const deployArgs = ['deploy', 'web', '--env', 'staging', '--tag', '1.2.3']
const events = `GET /v1/deployments/${id}/events`

t.test('events that are not understood are said once, and the deployment is asked for instead', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, (response) => {
    openEvents(response)
    response.write('data: {"type":"phase","at":7}\n\n')
  })
  standIn.on(`GET /v1/deployments/${id}`, (response) => json(response, 200, endedAs('reverted')))
  const { code, err } = await run(standIn.url, deployArgs).ended
  t.equal(code, 1, err)
  t.match(err, /an event of the deployment is not understood; asking for the deployment every 2 s instead/)
  const asked = standIn.asked.filter(({ path }) => path.endsWith('/events'))
  t.equal(asked.length, 1, 'the stream is not opened again')
})

t.test('an event of a kind that is not known yet is left out', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, (response) => {
    openEvents(response)
    response.write(`data: {"type":"weather","at":"${at}","sky":"grey"}\n\n`)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('succeeded') })
    response.end()
  })
  const { code, err } = await run(standIn.url, deployArgs).ended
  t.equal(code, 0, err)
  t.notMatch(err, /not understood/)
})

t.test(
  'a token that ends during the wait is read anew; one that is refused ends it with the id',
  async (t) => {
    const standIn = await withStandIn(t)
    const file = join(t.testdir({ token: 'first' }), 'token')
    const sent = () => standIn.asked.map(({ authorization }) => authorization)
    standIn.on(events, (response) => {
      if (sent().length > 2) return problem(response, 401, 'unauthenticated', 'the ID token has expired')
      openEvents(response)
      sendEvent(response, { type: 'deployment', at, deployment: deployment({ phase: 'staging' }) })
      writeFileSync(file, 'second')
      response.end()
    })
    const env = { LONGSHORE_TOKEN: '', LONGSHORE_TOKEN_FILE: file }
    const { code, err } = await run(standIn.url, deployArgs, env).ended
    t.equal(code, 7, err)
    t.match(err, /the ID token has expired/)
    t.match(err, new RegExp(`longshore attach ${id}`))
    t.same(sent(), ['Bearer first', 'Bearer first', 'Bearer second'])
  }
)

t.test('rollback asks for the release given, or for the last good one', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('succeeded') })
    response.end()
  })
  const args = ['rollback', 'web', '--env', 'staging']
  t.equal((await run(standIn.url, args).ended).code, 0)
  t.equal((await run(standIn.url, [...args, '--release', '5', '--offline', 'skip']).ended).code, 0)
  const bodies = standIn.asked.filter(({ method }) => method === 'POST').map(({ body }) => body)
  t.match(bodies, [
    { what: { by: 'rollback', release: null }, offline: 'fail' },
    { what: { by: 'rollback', release: 5 }, offline: 'skip' }
  ])
})

t.test('attach ends as the command that began the deployment would have', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(`GET /v1/deployments/${id}`, (response) => json(response, 200, deployment({ phase: 'rolling' })))
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('mixed') })
    response.end()
  })
  const { code, out } = await run(standIn.url, ['attach', id, '--output', 'json']).ended
  t.equal(code, 5)
  t.match(JSON.parse(out), { id, outcome: 'mixed' })
  standIn.on(`GET /v1/deployments/${id}`, (response) =>
    problem(response, 404, 'unknown-deployment', `there is no deployment ${id}`, { known: [] })
  )
  t.match(await run(standIn.url, ['attach', id]).ended, { code: 2, out: '', err: /there are none yet/ })
})

t.test('cancel waits until the hosts are back', async (t) => {
  const standIn = await withStandIn(t)
  standIn.on(`POST /v1/deployments/${id}/cancel`, (response) => json(response, 202, deployment()))
  standIn.on(`GET /v1/deployments/${id}`, (response) =>
    json(response, 200, deployment({ phase: 'reverting', isCancelRequested: true }))
  )
  standIn.on(events, (response) => {
    openEvents(response)
    sendEvent(response, { type: 'ended', at, deployment: endedAs('cancelled') })
    response.end()
  })
  t.match(await run(standIn.url, ['cancel', id]).ended, { code: 6, out: /^cancelled: web in staging/ })
})
