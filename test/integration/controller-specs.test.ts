// Specs, deployments and their event streams over real HTTP, with an agent that answers everything.
import t from 'tap'
import { maxSpecBytes, specBytes } from '../../packages/controller/src/core/delivery/spec-size.ts'
import { enrol, newMachine } from '../support/agent-client.ts'
import { connectAnswering } from '../support/answering-agent.ts'
import { type Event, openEventStream } from '../support/read-events.ts'
import { specOf, startRealController, textOf } from '../support/real-controller.ts'
import { waitUntil } from '../support/wait.ts'

const allOf = async (events: AsyncIterable<Event>): Promise<Event[]> => {
  const all: Event[] = []
  for await (const event of events) all.push(event)
  return all
}

const controller = await startRealController(t)
const { ask, token } = controller
const at = (service: string): string => `/v1/environments/staging/services/${service}/spec`
const apply = (service: string, spec: object, dryRun = false) =>
  ask('PUT', at(service), { body: { spec, dryRun } })

t.test('a spec is applied as revisions, a new one only when something changed', async (t) => {
  const first = specOf({ environment: { A: '1' } })
  t.match(await apply('web', first, true), { status: 200, body: { revision: 0, isChanged: true } })
  t.equal((await ask('GET', at('web'))).status, 404, 'a dry run stores nothing')
  t.match(await apply('web', first), { body: { revision: 1, isChanged: true } })
  t.match(await apply('web', first), { body: { revision: 1, isChanged: false, changes: [] } })
  const second = specOf({ environment: { A: '2' } })
  const change = { path: 'environment.A', before: '1', after: '2' }
  t.match(await apply('web', second, true), { body: { revision: 1, changes: [change] } })
  t.match(await apply('web', second), { body: { revision: 2, changes: [change] } })
  t.match((await ask('GET', at('web'))).body, { revision: 2, appliedBy: 'admin', spec: second })
  t.match((await ask('GET', `${at('web')}?revision=1`)).body, { revision: 1, spec: first })
  t.match(await ask('GET', `${at('web')}?revision=9`), {
    status: 404,
    body: { detail: 'web in staging has no revision 9', known: ['revisions 1 to 2'] }
  })
  t.match((await ask('GET', '/v1/specs?service=web')).body, [{ service: 'web', revision: 2 }])
})

t.test(
  'values are seen by those who may read them or apply, others see whether two are the same',
  async (t) => {
    await apply('secrets', specOf({ environment: { PASSWORD: 'hunter2', SAME: 'hunter2' } }))
    const asked = async (permission: string): Promise<string> =>
      JSON.stringify([
        (await ask('GET', at('secrets'), { token: await controller.tokenFor(permission) })).body,
        (await ask('GET', '/v1/specs', { token: await controller.tokenFor(permission) })).body
      ])
    for (const permission of ['read-values:staging/secrets', 'apply:staging/secrets'])
      t.match(await asked(permission), /"PASSWORD":"hunter2".*"isHidden":false/)
    const hidden = await asked('deploy:staging/secrets')
    t.notMatch(hidden, /hunter2/)
    t.match(hidden, /"PASSWORD":"sha256:f52fbd32","SAME":"sha256:f52fbd32".*"isHidden":true/)
  }
)

t.test('a spec that no command could carry is refused at apply, in words and figures', async (t) => {
  // a single value ends at 8192 characters
  const variables = (last: string) => {
    const full = Array.from({ length: 46 }, (_, number) => [`A${String(number)}`, 'x'.repeat(8192)])
    return specOf({ environment: { ...Object.fromEntries(full), LAST: last } })
  }
  const sized = (bytes: number) => variables('x'.repeat(bytes - specBytes(variables(''))))
  t.equal((await apply('large', sized(maxSpecBytes))).status, 200)
  for (const dryRun of [true, false]) {
    t.match(await apply('larger', sized(maxSpecBytes + 1), dryRun), {
      status: 400,
      body: {
        code: 'invalid-request',
        detail: `the spec of larger in staging has ${maxSpecBytes + 1} bytes as JSON; at most ${maxSpecBytes} fit into a signed command: move large values into files on the hosts`
      }
    })
  }
  t.equal((await ask('GET', at('larger'))).status, 404)
})

t.test('the stream of a deployment begins with all of it, tells each change and ends with it', async (t) => {
  const machine = await newMachine('web1')
  await enrol(controller.url, machine, (await controller.joinToken()).token)
  const agent = await connectAnswering(controller.url, machine, await controller.trust())
  t.teardown(() => agent.socket.terminate())
  await waitUntil(
    'the agent is connected',
    async () => (await ask('GET', '/v1/agents/web1')).body['state'] === 'connected'
  )
  const all = await openEventStream(`${controller.url}/v1/events`, token)
  t.match((await all.events.next()).value, { type: 'agent', agent: { name: 'web1', state: 'connected' } })
  await apply('it', specOf())
  const body = { service: 'it', environment: 'staging', what: { by: 'tag', tag: '1' } }
  const id = textOf((await ask('POST', '/v1/deployments', { body })).body, 'id')
  const path = `${controller.url}/v1/deployments/${id}/events`
  const { events } = await openEventStream(path, token)
  const seen = await allOf(events)
  t.match(seen[0], { type: 'deployment', deployment: { id } })
  t.match(seen.at(-1), { type: 'ended', deployment: { id, outcome: 'succeeded', release: 1 } })
  const phases = ['requested', 'resolving', 'staging', 'rolling', 'ended']
  const order = seen.map((event) => phases.indexOf(String(event['phase']))).filter((place) => place >= 0)
  t.same(order, [...order].sort(), 'phases come in order')
  const after = await allOf((await openEventStream(path, token)).events)
  t.same(
    after.map(({ type }) => type),
    ['deployment', 'ended'],
    'a stream of one that has ended says so and ends'
  )
  for await (const event of all.events) if (event.type === 'ended') break
  t.match((await ask('GET', '/v1/releases?service=it')).body, [
    { release: 1, outcome: 'succeeded', isCurrent: true }
  ])
  t.match((await ask('GET', '/v1/status?service=it')).body, [{ service: 'it', release: 1, deployment: null }])
})
