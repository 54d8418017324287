// The parts around a run: the executor over an engine that refuses what was not prepared, and credentials as
// Docker keeps them.
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { createCredentials, registryKey } from '../../../packages/agent/src/adapters/docker/credentials.ts'
import { fromStatus } from '../../../packages/agent/src/adapters/docker/errors.ts'
import { readLogFrames } from '../../../packages/agent/src/adapters/docker/log-frames.ts'
import { openJournal } from '../../../packages/agent/src/adapters/journal.ts'
import { createPolicySource } from '../../../packages/agent/src/adapters/policy-file.ts'
import { EngineError } from '../../../packages/agent/src/engine-error.ts'
import { executeStep } from '../../../packages/agent/src/executor.ts'
import { createRuns, hashSpec } from '../../../packages/agent/src/runs.ts'
import { withoutProxy } from '../../support/no-proxy.ts'
import { makeTestFolder } from '../../support/real-parts.ts'
import { buildSampleRequest, releaseBody, sampleCommand, sampleSpec } from '../../support/run-samples.ts'
import { preparedEngine, runtimeOf } from '../../support/step-runtime.ts'

t.test('the executor tells a failure from an engine that is away', async (t) => {
  const disk = { kind: 'check-disk', minFreeBytes: 1000 } as const
  const full = await executeStep(runtimeOf(preparedEngine({ dataDirectory: async () => '/d' })), disk)
  t.match(full, { kind: 'failed', error: { code: 'disk-full', detail: /500 bytes free, 1000/ } })
  const away = async (): Promise<never> => {
    throw new EngineError('unreachable', 'nobody there')
  }
  const gone = await executeStep(runtimeOf(preparedEngine({ dataDirectory: away, ping: away })), disk)
  t.match(gone, { kind: 'unknown', error: { code: 'engine-unavailable' } })
  let calls = 0
  const shaky = async () => {
    calls += 1
    return calls < 3 ? away() : '/d'
  }
  const engine = preparedEngine({ dataDirectory: shaky, ping: async () => undefined })
  t.match(await executeStep(runtimeOf(engine), { ...disk, minFreeBytes: 0 }), { kind: 'done' })
  const surprise = await executeStep(runtimeOf(preparedEngine({})), disk)
  t.match(surprise, { kind: 'failed', error: { code: 'engine-error', detail: /did not prepare/ } })
})

t.test('an engine that answers and yet breaks off a call is asked again at a pace', async (t) => {
  let calls = 0
  const breakingOff = async (): Promise<never> => {
    calls += 1
    if (calls > 1000) throw new Error('asked without a pause')
    throw new EngineError('unreachable', 'socket hang up')
  }
  const engine = preparedEngine({ dataDirectory: breakingOff, ping: async () => undefined })
  const result = await executeStep(runtimeOf(engine), { kind: 'check-disk', minFreeBytes: 1000 })
  t.match(result, { kind: 'unknown', error: { code: 'engine-unavailable', detail: 'socket hang up' } })
  t.ok(calls < 1000, `${calls} calls in the time for which an engine is waited for`)
})

t.test(
  'a command that is cancelled while it waits for another is cancelled after a restart as well',
  async (t) => {
    const dir = makeTestFolder(t)
    const never = Promise.withResolvers<never>()
    const journal = openJournal(join(dir, 'journal.sqlite'))
    const engine = preparedEngine({ listContainers: () => never.promise })
    const { host, clock } = runtimeOf(engine)
    const idleClock = { ...clock, after: () => () => undefined }
    const policy = createPolicySource(undefined)
    const runs = createRuns(
      { engine, ...withoutProxy, host, journal, clock: idleClock, policy },
      { minFreeBytes: 0, buildRequest: buildSampleRequest },
      { progressed: () => undefined, reported: () => undefined }
    )
    for (const number of [1, 2]) {
      const command = sampleCommand(number, releaseBody(number, sampleSpec()))
      t.match(await runs.receive(command, 'jws', 0), { type: 'accepted' })
    }
    await setImmediate()
    runs.cancel(sampleCommand(2, releaseBody(2, sampleSpec())).id)
    t.same(
      journal.openRuns().map((state) => state.stop),
      [null, 'cancelled']
    )
    never.reject(new Error('the test is over'))
    await runs.stop()
  }
)

t.test('a plan runs beside the run of its service, which another run waits for', async (t) => {
  const dir = makeTestFolder(t)
  const journal = openJournal(join(dir, 'journal.sqlite'))
  const never = Promise.withResolvers<never>()
  let lists = 0
  const engine = preparedEngine({
    listContainers: () => {
      lists += 1
      return never.promise
    }
  })
  const { host, clock } = runtimeOf(engine)
  const idleClock = { ...clock, after: () => () => undefined }
  const runs = createRuns(
    { engine, ...withoutProxy, host, journal, clock: idleClock, policy: createPolicySource(undefined) },
    { minFreeBytes: 0, buildRequest: buildSampleRequest },
    { progressed: () => undefined, reported: () => undefined }
  )
  const release = releaseBody(2, sampleSpec()) as object
  const bodies = [release, release, { ...release, kind: 'plan' }, { ...release, kind: 'plan' }]
  for (const [at, body] of bodies.entries())
    t.match(
      await runs.receive(sampleCommand(9 - at, body), 'jws', 0),
      at === 1 ? { code: 'stale' } : { type: 'accepted' }
    )
  t.match(await runs.receive(sampleCommand(10, release), 'jws', 0), { type: 'accepted' })
  await setImmediate()
  t.equal(lists, 3, 'the first release and both plans look at the host')
  never.reject(new Error('the test is over'))
  await runs.stop()
})

t.test('a port that a process holds is refused before anything is asked of Docker', async (t) => {
  const step = {
    kind: 'check-ports',
    ports: [{ target: 80, published: 8080, hostIp: null, protocol: 'tcp' }],
    allowed: []
  } as const
  const engine = preparedEngine({ listContainers: async () => [] })
  const result = await executeStep(runtimeOf(engine), { ...step, ports: [...step.ports], allowed: [] })
  t.match(result, { kind: 'failed', error: { code: 'port-taken', detail: /8080\/tcp/ } })
})

t.test("Docker's answers become codes by status, and by text where there is only text", async (t) => {
  const cases = [
    [500, 'Bind for 0.0.0.0:80 failed: port is already allocated', 'start', 'port-taken'],
    [409, 'The container name is in use', 'create', 'name-taken'],
    [404, 'No such image: web:1', 'create', 'image-missing'],
    [404, 'network x not found', 'create', 'not-found'],
    [400, 'invalid mount', 'create', 'bad-request'],
    [500, 'manifest unknown: manifest unknown', 'registry', 'image-missing'],
    [500, 'Get https://x: dial tcp: connection refused', 'registry', 'registry-unavailable'],
    [403, 'no', 'registry', 'registry-denied'],
    [503, 'busy', 'registry', 'registry-unavailable']
  ] as const
  for (const [status, text, subject, code] of cases)
    t.equal(fromStatus(status, text, subject).code, code, text)
})

t.test('credentials come from auths or a helper, and never stand in an error', async (t) => {
  const config = makeTestFolder(t)
  const helper = join(config, 'docker-credential-test')
  writeFileSync(
    join(config, 'config.json'),
    JSON.stringify({
      auths: { 'https://registry.test/v2/': { auth: Buffer.from('me:se:cret').toString('base64') } },
      credHelpers: { 'helped.test': 'test' }
    })
  )
  const script = (lines: string) => {
    writeFileSync(helper, `#!/bin/sh\nread server\n${lines}\n`)
    chmodSync(helper, 0o755)
  }
  const credentials = createCredentials({ DOCKER_CONFIG: config, PATH: `${config}:${process.env['PATH']}` })
  t.match(await credentials.forRepository('registry.test/a/b'), { username: 'me', password: 'se:cret' })
  t.equal(await credentials.forRepository('library/nginx'), undefined)
  script(`echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"of $server\\"}"`)
  t.match(await credentials.forRepository('helped.test/web'), { identitytoken: 'of helped.test' })
  script('echo "credentials not found in native keychain"; exit 1')
  t.equal(await credentials.forRepository('helped.test/web'), undefined)
  script('echo secret; exit 1')
  await t.rejects(credentials.forRepository('helped.test/web'), {
    code: 'registry-denied',
    message: /^docker-credential-test failed for helped.test$/
  })
  t.equal(registryKey('nginx'), 'https://index.docker.io/v1/')
  t.equal(registryKey('localhost:5000/web'), 'localhost:5000')
})

t.test('the policy file counts from the next command on, and a broken one refuses everything', async (t) => {
  const path = join(makeTestFolder(t), 'policy.yaml')
  const source = createPolicySource(path)
  t.match(source.summary(), { state: 'absent', path })
  writeFileSync(path, 'services: [web]\n')
  t.match(source.summary(), { state: 'active' })
  writeFileSync(path, 'service: [web]\nother: 1\n')
  t.match(source.summary(), { state: 'invalid', detail: /service/ })
})

t.test('the last lines of a log are the last ones, however long those before them are', async (t) => {
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0x40, 0])
  const piece = Buffer.concat([header, Buffer.alloc(0x4000, 'x')])
  const frame = (text: string) =>
    Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)])
  const long = [...Array.from({ length: 40 }, () => piece), frame('\n')]
  const log = [frame('first\n'), ...long, ...long, frame('at the end\n')]
  const last = await readLogFrames(Readable.from(log), 3)
  t.same(
    last.map((line) => line.slice(0, 10)),
    ['xxxxxxxxxx', 'xxxxxxxxxx', 'at the end']
  )
  t.ok(last.every((line) => line.length <= 8192))
})

t.test('log frames and the hash of a spec read as they should', async (t) => {
  const frame = (text: string) =>
    Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)])
  const read = (...chunks: Buffer[]) => readLogFrames(Readable.from(chunks), 2)
  t.same(await read(Buffer.concat([frame('one\n'), frame('two\n')])), ['one', 'two'])
  t.same(await read(Buffer.from('plain\r\ntext\n')), ['plain', 'text'])
  const spec = sampleSpec({ environment: { A: '1', B: '2' } })
  t.equal(hashSpec(spec), hashSpec({ ...spec, environment: { B: '2', A: '1' }, keepImages: 9 }))
  const paced = { canary: { unit: 'count', value: 1 }, failureAction: 'pause' } as const
  const releaseCommand = { command: ['migrate'], timeoutMs: 1000 }
  t.equal(hashSpec(spec), hashSpec({ ...spec, update: { ...spec.update, ...paced }, releaseCommand }))
  t.equal(hashSpec(spec), hashSpec({ ...spec, sources: [{ kind: 'artifact' }], cache: true }))
  t.not(hashSpec(spec), hashSpec({ ...spec, environment: { A: '1' } }))
})
