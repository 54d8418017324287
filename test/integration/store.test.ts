// The store on a real SQLite file: what is written is read back the same, constraints hold, one process at a time.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { AgentId, CommandId, DeploymentId, EnvironmentName, ServiceName } from '@longshore/protocol'
import t from 'tap'
import { openStore } from '../../packages/controller/src/adapters/sql/open-store.ts'
import type { AgentRow, DeploymentRow, OutboxRow, ReleaseRow } from '../../packages/controller/src/ports.ts'
import { StoreConflict } from '../../packages/controller/src/ports.ts'

const staging = 'staging' as EnvironmentName
const api = 'api' as ServiceName
const deploymentOf = (number: number) => `dep_${String(number).padStart(20, '0')}` as DeploymentId

const asInserted = { name: staging, createdAtMs: 1, heal: false, promotesFrom: null, sources: null }
const agentRow: AgentRow = {
  id: 'agt_00000000000000000001' as AgentId,
  environment: staging,
  hostName: 'a',
  thumbprint: 'x'.repeat(43) as AgentRow['thumbprint'],
  publicJwk: { kty: 'OKP', x: 'abc' },
  encryptionJwk: { kty: 'OKP' },
  labels: { rack: '1' },
  state: 'active',
  stateReason: null,
  joinToken: 'tok_00000000000000000001' as AgentRow['joinToken'],
  enrolledAtMs: 1_700_000_000_000,
  lastSeenAtMs: null,
  reportsUpTo: 0,
  agentVersion: null,
  facts: null,
  policy: null,
  clockSkewMs: -12
}
const deploymentRow = (
  generation: number,
  release: number,
  outcome: DeploymentRow['outcome']
): DeploymentRow => ({
  id: deploymentOf(generation),
  mode: 'deploy',
  service: api,
  environment: staging,
  what: { by: 'tag', tag: 'v1' },
  phase: outcome === null ? 'staging' : 'ended',
  outcome,
  release,
  generation,
  requestedBy: 'jenkins',
  requestReason: null,
  build: null,
  attemptOf: null,
  requestedAtMs: 1000,
  endedAtMs: outcome === null ? null : 2000,
  state: { nested: [1, { two: null }] }
})
const releaseRow = (number: number): ReleaseRow => ({
  service: api,
  environment: staging,
  number,
  repository: 'localhost:5000/api',
  tag: `v${number}`,
  digest: null,
  specRevision: 1,
  deployment: deploymentOf(number),
  outcome: null,
  createdAtMs: 1000,
  createdBy: 'jenkins',
  build: null
})

t.test('reads back every kind of row as it was written', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const command: OutboxRow = {
    command: 'cmd_00000000000000000001' as CommandId,
    agent: agentRow.id,
    service: api,
    deployment: deploymentOf(1),
    kind: 'stage',
    needs: ['stage', 'start-first'],
    fence: { generation: 1, epoch: 1, index: 1 },
    jws: 'a.b.c',
    notAfterMs: 5000,
    state: 'owed',
    createdAtMs: 1000,
    endedAtMs: null
  }
  await store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: staging, createdAtMs: 1 })
    await tx.putAgent(agentRow)
    await tx.putDeployment(deploymentRow(1, 1, null))
    await tx.putCommand(command)
    await tx.putRelease(releaseRow(1))
    await tx.appendDeploymentEvent(deploymentOf(1), { kind: 'requested' })
    await tx.appendDeploymentEvent(deploymentOf(1), { kind: 'timePassed' })
    await tx.putCounters(staging, api, { generation: 4, release: 2, heard: 3 })
  })
  t.same(await store.environments(), [asInserted])
  t.same(await store.agent(agentRow.id), agentRow)
  t.same(await store.agentByThumbprint(agentRow.thumbprint), agentRow)
  t.same(await store.agents({ environment: 'other' }), [])
  t.same(await store.deployment(deploymentOf(1)), deploymentRow(1, 1, null))
  t.same(await store.outbox({ agent: agentRow.id, isEnded: false }), [command])
  t.same(await store.outbox({ isEnded: true }), [])
  t.same(await store.release(staging, api, 1), releaseRow(1))
  t.same(await store.deploymentEvents(deploymentOf(1)), [{ kind: 'requested' }, { kind: 'timePassed' }])
  t.same(await store.counters(staging, api), { generation: 4, release: 2, heard: 3 })
  t.same(await store.counters(staging, 'other'), { generation: 0, release: 0, heard: 0 })
  await store.close()
})

t.test('knows the release that a service is to run, and that it was removed', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const current = {
    environment: staging,
    service: api,
    release: 2,
    generation: 2,
    deployment: deploymentOf(2),
    sinceMs: 2000
  }
  t.equal(await store.currentRelease(staging, api), undefined)
  t.same(await store.currentReleases(), [])
  await store.transaction(async (tx) => {
    for (const number of [1, 2, 3]) await tx.putRelease(releaseRow(number))
    await tx.putCurrentRelease(current)
  })
  t.equal((await store.currentRelease(staging, api))?.number, 2)
  await store.transaction((tx) => tx.putCurrentRelease({ ...current, release: null, generation: 3 }))
  t.equal(await store.currentRelease(staging, api), undefined)
  t.match(await store.currentReleases({ environment: staging }), [{ release: null, generation: 3 }])
  t.same(await store.currentReleases({ environment: 'other' }), [])
  await store.close()
})

t.test('finds a deployment by each of its services, and leaves plans out of lists', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const worker = 'worker' as ServiceName
  await store.transaction(async (tx) => {
    await tx.putDeployment(deploymentRow(1, 1, null))
    for (const service of [api, worker]) {
      const row = { deployment: deploymentOf(1), environment: staging, service, release: 1, generation: 1 }
      await tx.putDeploymentService(row)
      await tx.putDeploymentService({ ...row, release: 2 })
    }
    await tx.putDeployment({ ...deploymentRow(2, 1, null), mode: 'plan' })
  })
  const idsOf = async (filter: Parameters<typeof store.deployments>[0]) =>
    (await store.deployments(filter)).map(({ id }) => id)
  t.same(await idsOf({ service: 'worker' }), [deploymentOf(1)])
  t.same(await idsOf({ service: 'other' }), [])
  t.same(await idsOf({}), [deploymentOf(1)])
  t.same(await idsOf({ withPlans: true }), [deploymentOf(2), deploymentOf(1)])
  t.match(await store.deploymentServices(deploymentOf(1)), [
    { service: 'api', release: 2 },
    { service: 'worker', release: 2 }
  ])
  await store.close()
})

t.test('forgets no deployment in progress, however many there are', async (t) => {
  const store = await openStore({ path: ':memory:' })
  await store.transaction(async (tx) => {
    for (let number = 1; number <= 1100; number += 1)
      await tx.putDeployment({ ...deploymentRow(number, number, null), endedAtMs: null })
  })
  t.equal((await store.deployments({ isEnded: false })).length, 1100)
  t.equal((await store.deployments({})).length, 1000, 'lists have an end')
  await store.close()
})

t.test('grants a lock once', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const lock = {
    service: api,
    environment: staging,
    deployment: deploymentOf(1),
    holder: 'jenkins',
    reason: null,
    sinceMs: 7,
    owner: 'ctl_00000000000000000001',
    leaseUntilMs: 9
  }
  await store.transaction((tx) => tx.insertLock(lock))
  await t.rejects(
    store.transaction((tx) => tx.insertLock({ ...lock, deployment: deploymentOf(2) })),
    StoreConflict
  )
  t.same(await store.lock(staging, api), lock)
  await store.transaction((tx) => tx.deleteLock(staging, api))
  t.equal(await store.lock(staging, api), undefined)
  await store.close()
})

t.test('keeps an environment that still has agents', async (t) => {
  const store = await openStore({ path: ':memory:' })
  await store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: staging, createdAtMs: 1 })
    await tx.putAgent(agentRow)
  })
  await t.rejects(
    store.transaction((tx) => tx.deleteEnvironment(staging)),
    StoreConflict
  )
  await store.transaction((tx) => tx.deleteAgent(agentRow.id))
  await store.transaction((tx) => tx.deleteEnvironment(staging))
  t.same(await store.environments(), [])
  await store.close()
})

t.test('writes all of a transaction or nothing, and hides it from readers until then', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const failed = store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: staging, createdAtMs: 1 })
    throw new Error('on purpose')
  })
  const seen = store.environments()
  await t.rejects(failed, { message: 'on purpose' })
  t.same(await seen, [])
  await store.close()
})

t.test('refuses a value that the database would silently keep as something else', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const row = { name: staging, createdAtMs: new Date() as unknown as number }
  await t.rejects(
    store.transaction((tx) => tx.insertEnvironment(row)),
    { code: 'value-refused' }
  )
  await store.close()
})

t.test('lets one process in at a time, and the next one after it was killed', async (t) => {
  const path = join(t.testdir(), 'longshore.db')
  const store = await openStore({ path })
  await t.rejects(openStore({ path }), { code: 'database-in-use' })
  await store.close()

  const child = `
    import { openStore } from ${JSON.stringify(import.meta.resolve('../../packages/controller/src/adapters/sql/open-store.ts'))}
    const store = await openStore({ path: ${JSON.stringify(path)} })
    await store.transaction((tx) => tx.insertEnvironment({ name: 'staging', createdAtMs: 1 }))
    process.kill(process.pid, 'SIGKILL')`
  const ended = spawnSync(process.execPath, ['--input-type=module', '-e', child], { encoding: 'utf8' })
  t.equal(ended.signal, 'SIGKILL', ended.stderr)
  const reopened = await openStore({ path })
  t.same(await reopened.environments(), [asInserted])
  const other = spawnSync(process.execPath, ['--input-type=module', '-e', child], { encoding: 'utf8' })
  t.match(other.stderr, /database-in-use/)
  await reopened.close()
})

t.test('keeps what was committed when the files are copied away under it', async (t) => {
  const dir = t.testdir()
  const store = await openStore({ path: join(dir, 'a.db') })
  await store.transaction((tx) => tx.insertEnvironment({ name: staging, createdAtMs: 1 }))
  for (const suffix of ['', '-wal']) {
    if (existsSync(join(dir, `a.db${suffix}`)))
      copyFileSync(join(dir, `a.db${suffix}`), join(dir, `b.db${suffix}`))
  }
  const copy = await openStore({ path: join(dir, 'b.db') })
  t.same(await copy.environments(), [asInserted])
  await copy.close()
  await store.close()
})

t.test('refuses a schema that a newer version wrote, and a file that is no database', async (t) => {
  const dir = t.testdir()
  const path = join(dir, 'longshore.db')
  await (await openStore({ path })).close()
  const raw = new DatabaseSync(path)
  raw.exec(`insert into schema_version values (99, 'from the future', 0)`)
  raw.close()
  await t.rejects(openStore({ path }), { code: 'database-newer' })
  await t.rejects(openStore({ path }), { code: 'database-newer' }, 'the file is free again')

  writeFileSync(
    join(dir, 'text.db'),
    'this is no database, only a text that is long enough to look at\n'.repeat(20)
  )
  await t.rejects(openStore({ path: join(dir, 'text.db') }), { code: 'database-unusable' })
})

t.test('keeps settings, freezes and idempotency keys, and forgets them with their environment', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const mirror = { kind: 'mirror' as const, at: 'mirror.test' }
  const set = { ...asInserted, heal: true, promotesFrom: 'test' as EnvironmentName, sources: [mirror] }
  const freeze = { environment: staging, holder: 'anna', reason: 'move', sinceMs: 5 }
  const key = {
    environment: staging,
    key: 'build-1',
    request: '{}',
    first: deploymentOf(1),
    deployment: deploymentOf(1),
    createdAtMs: 5
  }
  await store.transaction(async (tx) => {
    await tx.insertEnvironment({ name: staging, createdAtMs: 1 })
    await tx.putEnvironment(set)
    await tx.putFreeze({ ...freeze, service: null })
    await tx.putFreeze({ ...freeze, service: api })
    await tx.putFreeze({ ...freeze, service: api, reason: 'longer move' })
    await tx.putIdempotencyKey(key)
    await tx.putIdempotencyKey({ ...key, deployment: deploymentOf(2) })
  })
  t.same(await store.environment(staging), set)
  const own = { ...freeze, service: api, reason: 'longer move' }
  t.same(await store.freezes(staging), [{ ...freeze, service: null }, own])
  t.same(await store.freezes('production'), [])
  t.same(await store.idempotencyKey(staging, 'build-1'), { ...key, deployment: deploymentOf(2) })
  await store.transaction((tx) => tx.deleteFreeze(staging, null))
  t.same(await store.freezes(), [own])
  await store.transaction((tx) => tx.deleteEnvironment(staging))
  t.same(await store.freezes(), [])
  t.equal(await store.idempotencyKey(staging, 'build-1'), undefined)
  await store.close()
})

t.test('lists what a token may read, however much that is newer it may not', async (t) => {
  const store = await openStore({ path: ':memory:' })
  const web = 'web' as ServiceName
  const production = 'production' as EnvironmentName
  const rows: [number, EnvironmentName, ServiceName[]][] = [
    [1, staging, [api]],
    [2, staging, [api, web]],
    [3, staging, [web]],
    [4, production, [api]]
  ]
  await store.transaction(async (tx) => {
    for (const [number, environment, services] of rows) {
      const row = { ...deploymentRow(number, number, 'succeeded'), environment, requestedAtMs: number }
      await tx.putDeployment(row)
      for (const service of services) {
        const named = { deployment: row.id, environment, service, release: number, generation: number }
        await tx.putDeploymentService(named)
        await tx.putRelease({ ...releaseRow(number), environment, service, createdAtMs: number })
      }
    }
  })
  const scopes: [(string | null)[][], number[], number[]][] = [
    [[[null, null]], [4, 3, 2, 1], [4, 3, 2, 2, 1]],
    [[['staging', 'api']], [1], [2, 1]],
    [[['staging', null]], [3, 2, 1], [3, 2, 2, 1]],
    [[[null, 'api']], [4, 1], [4, 2, 1]],
    [
      [
        ['staging', 'api'],
        ['staging', 'web']
      ],
      [3, 2, 1],
      [3, 2, 2, 1]
    ],
    [[], [], []]
  ]
  for (const [allowed, deployments, releases] of scopes) {
    const readable = allowed.map(([environment = null, service = null]) => ({ environment, service }))
    const text = JSON.stringify(allowed)
    const found = await store.deployments({ readable })
    t.same(
      found.map((row) => row.generation),
      deployments,
      text
    )
    t.same(
      (await store.releases({ readable })).map((row) => row.number),
      releases,
      text
    )
  }
  t.match(await store.deployments({ readable: [{ environment: null, service: 'api' }], limit: 1 }), [
    { environment: 'production' }
  ])
  await store.close()
})
