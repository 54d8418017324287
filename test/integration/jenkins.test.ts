// The pipeline of deploy/jenkins, without Jenkins: the very shell texts that are shipped, with Jenkins' variables and its way
// of aborting, by the real CLI against a real controller whose hosts answer over the real protocol.
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { type Command, type RunOutcome, runOutcome } from '@longshore/protocol'
import t from 'tap'
import { enrol, helloOf, newMachine } from '../support/agent-client.ts'
import { type Behaviour, connectAnswering, obedient } from '../support/answering-agent.ts'
import { cliMain } from '../support/cli-process.ts'
import { sampleImage, savedArchive } from '../support/image-samples.ts'
import { startIssuer } from '../support/issuer.ts'
import {
  type Build,
  makeProgramFolder,
  runShellText,
  shellTextsOf,
  shippedForJenkins,
  unbalancedIn
} from '../support/jenkins-steps.ts'
import { openEventStream } from '../support/read-events.ts'
import { readXml } from '../support/read-xml.ts'
import { specOf, startRealController } from '../support/real-controller.ts'

t.setTimeout(120_000)
const sources = {
  pipeline: shippedForJenkins('Jenkinsfile'),
  deploy: shippedForJenkins('vars/longshoreDeploy.groovy'),
  push: shippedForJenkins('vars/longshorePush.groovy')
}
const [build = '', test = ''] = shellTextsOf(sources.pipeline)
const [promote = '', byDigest = '', byTag = '', whichDigest = ''] = shellTextsOf(sources.deploy)
const [push = ''] = shellTextsOf(sources.push)

const controller = await startRealController(t)
const job = 'https://jenkins.example.com/job/api/'
const issuer = await startIssuer(t, { audience: controller.installation, subject: job })
const allow = ['wip', 'staging', 'production'].map((environment) => `deploy:${environment}/api`)
await controller.ask('PUT', '/v1/issuers/jenkins', {
  body: { url: issuer.url, rules: [{ claims: { sub: job }, allow: [...allow, 'push-image:*/*'] }] }
})
await controller.ask('POST', '/v1/environments', { body: { name: 'wip' } })
await controller.ask('PATCH', '/v1/environments/production', { body: { promotesFrom: 'staging' } })
const digestOf = (tag: string) => `sha256:${Buffer.from(tag).toString('hex').padEnd(64, '0')}`
/** What each host has served, that of now last. */
const served = new Map<string, { digest: string; release: number }[]>()
const outcomeOf = (host: string, outcome: object): RunOutcome => {
  const release = served.get(host)?.at(-1)?.release ?? null
  return runOutcome.parse({ ...outcome, serving: release === null ? 'none' : 'old', release })
}
/** A host on which everything works, each tag another image. */
const workOn =
  (host: string): ((command: Command) => RunOutcome) =>
  (command) => {
    const { body } = command
    const releases = served.get(host) ?? []
    const outcome = obedient(command)
    if (body.kind === 'release')
      served.set(host, [...releases, { digest: body.image.digest, release: body.release }])
    if (body.kind === 'revert') served.set(host, releases.slice(0, -1))
    if (body.kind === 'stage') return outcomeOf(host, outcome)
    return body.kind === 'resolve' && body.image.tag !== null
      ? runOutcome.parse({ ...outcome, result: { kind: 'resolve', digest: digestOf(body.image.tag) } })
      : outcome
  }
/** What a host does; a test that changes it puts it back. */
const behaviours = new Map<string, Behaviour>()
const stopped = (host: string): RunOutcome =>
  outcomeOf(host, {
    status: 'failed',
    error: { code: 'cancelled', detail: 'it was cancelled', step: null, log: [] }
  })
/** How a command that is worked on ends when it is cancelled. */
let cancelled: Behaviour = () => stopped('s2')
for (const [host, environment] of [
  ['w1', 'wip'],
  ['s1', 'staging'],
  ['s2', 'staging'],
  ['p1', 'production']
] as const) {
  const machine = await newMachine(host)
  await enrol(controller.url, machine, (await controller.joinToken({ environment })).token)
  const behave: Behaviour = (command) => (behaviours.get(host) ?? workOn(host))(command)
  const agent = await connectAnswering(controller.url, machine, await controller.trust(), behave, (command) =>
    cancelled(command)
  )
  // there are no containers to look at, and nothing is to be brought back
  const inventory = { ...helloOf(host).inventory, isEngineReachable: false }
  agent.send([{ type: 'inventory', inventory }])
  t.teardown(() => agent.socket.terminate())
}
for (const environment of ['wip', 'staging', 'production'])
  await controller.ask('PUT', `/v1/environments/${environment}/services/api/spec`, {
    body: { spec: specOf({ deploy: { update_config: { parallelism: 1 } } }) }
  })

const folder = t.testdir()
const bin = makeProgramFolder(join(folder, 'bin'), cliMain)
/** The Docker CLI, which only notes what it was asked for; a registry that is down is `docker push` failing. */
writeFileSync(
  join(bin, 'docker'),
  '#!/bin/sh\necho "docker $*" >> "$WORKSPACE/docker.log"\ntest "$1" != push\n',
  {
    mode: 0o755
  }
)

/** As Jenkins sets them, and the step's own ones. */
const variables = (number: number, own: Record<string, string> = {}) => ({
  PATH: `${bin}:${process.env['PATH']}`,
  NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '',
  JENKINS_URL: 'https://jenkins.example.com/',
  JOB_NAME: 'api',
  BUILD_NUMBER: String(number),
  BUILD_TAG: `jenkins-api-${number}`,
  BUILD_URL: `${job}${number}/`,
  WORKSPACE: folder,
  IMAGE: 'registry.example.com/team/api:7',
  LONGSHORE_URL: controller.url,
  LONGSHORE_TOKEN_FILE: join(folder, 'token'),
  ...own
})
const reportOf = (environment: string, number: number) => `longshore-${number}/api-${environment}`
const start = async (
  text: string,
  number: number,
  environment: string,
  more: Record<string, string> = {}
) => {
  // the credential binds anew for each step
  writeFileSync(join(folder, 'token'), await issuer.token({ build_number: number }))
  const own = {
    DEPLOY_SERVICE: 'api',
    DEPLOY_ENVIRONMENT: environment,
    DEPLOY_REPORT: reportOf(environment, number),
    ...more
  }
  return runShellText(t, text, folder, variables(number, own))
}
const run = async (...args: Parameters<typeof start>) => (await start(...args)).ended
const readReports = (environment: string, number: number) => {
  const path = join(folder, reportOf(environment, number))
  const lines = readFileSync(`${path}.ndjson`, 'utf8').trimEnd().split('\n')
  const events = lines.map((line) => JSON.parse(line) as { type: string; [name: string]: unknown })
  return { junit: readXml(readFileSync(`${path}.xml`, 'utf8')), events, result: events.at(-1) }
}
type Listed = { id: string; phase: string; outcome: string | null; what: object; attemptOf: string | null }
const deployments = async (environment: string): Promise<Listed[]> =>
  (await controller.ask('GET', `/v1/deployments?environment=${environment}`)).body as unknown as Listed[]
const status = async (environment: string) => {
  const { body } = await controller.ask('GET', `/v1/status?environment=${environment}`)
  return (body as unknown as { release: number; lock: unknown }[])[0]
}

t.test('what is shipped has the steps of the whole way, and its brackets are closed', async (t) => {
  for (const [name, source] of Object.entries(sources)) t.equal(unbalancedIn(source), '', name)
  t.equal(shellTextsOf(sources.pipeline).length, 2)
  t.same(
    [byTag, byDigest].map((text) => /--(tag|digest) /.exec(text)?.[1]),
    ['tag', 'digest']
  )
  for (const text of [promote, byDigest, byTag])
    t.match(text, /\n\s+exec longshore .*--on-abort cancel[^\n]*\s*$/)
  const stages = [...sources.pipeline.matchAll(/stage\('(\w+)'\)/g)].map(([, name]) => name)
  t.same(stages, ['Image', 'Build', 'Test', 'Push', 'wip', 'staging', 'Approval', 'production'])
  const gate = sources.pipeline.indexOf('input message')
  t.ok(gate > sources.pipeline.indexOf("'staging'") && gate < sources.pipeline.indexOf("stage('production')"))
  for (const step of ['junit testResults', 'archiveArtifacts', 'withCredentials', 'finally'])
    t.ok(sources.deploy.includes(step), step)
  t.notMatch(sources.deploy + sources.push, /\bsh .*script: *"/, 'no value becomes part of a shell text')
})

t.test(
  'an image goes from its build to production, and every environment has the very same one',
  async (t) => {
    t.match(await run(build, 1, 'wip'), { code: 0 })
    t.match(await run(test, 1, 'wip'), { code: 0 })
    t.equal(
      readFileSync(join(folder, 'docker.log'), 'utf8'),
      'docker build --pull --tag registry.example.com/team/api:7 .\ndocker run --rm --init registry.example.com/team/api:7 npm test\n'
    )
    const first = await run(byTag, 1, 'wip', { DEPLOY_TAG: '1' })
    t.match(first, { code: 0 }, first.console)
    const digest = (await run(whichDigest, 1, 'wip')).out.trim()
    t.match(digest, /^sha256:[0-9a-f]{64}$/)
    for (const [from, environment] of [
      ['wip', 'staging'],
      ['staging', 'production']
    ] as const) {
      const more = { DEPLOY_FROM: from, DEPLOY_DIGEST: digest }
      const promoted = await run(promote, 1, environment, more)
      t.match(promoted, { code: 0, out: /succeeded/ }, promoted.console)
      const { junit, result, events } = readReports(environment, 1)
      t.match(junit.children[0]?.attributes, { failures: '0', errors: '0' })
      t.match(result, {
        type: 'result',
        exitCode: 0,
        digest,
        requestedBy: `oidc:jenkins/${job}`,
        requestReason: `${job}1/`
      })
      t.equal(events[0]?.type, 'deployment')
    }
    const again = await run(byDigest, 2, 'staging', { DEPLOY_DIGEST: digest })
    t.match(again, { code: 0 }, again.console)
    t.notMatch(first.console + again.console, /eyJ/, 'the console has no token')
    t.notOk(first.console.includes('\x1b'), 'nor anything for terminals')
  }
)

t.test('a step that runs again in the same build finds what it began', async (t) => {
  const before = (await deployments('staging')).length
  const first = await run(byTag, 3, 'staging', { DEPLOY_TAG: '3' })
  const second = await run(byTag, 3, 'staging', { DEPLOY_TAG: '3' })
  t.match([first, second], [{ code: 0 }, { code: 0, console: /attached to dep_/ }])
  t.equal((await deployments('staging')).length, before + 1)
})

t.test('a build that could not begin has no report of a former one, and no digest', async (t) => {
  const former = await run(byTag, 3, 'wip', { DEPLOY_TAG: '3' })
  t.match(former, { code: 0 }, former.console)
  const wrong = await run(byTag, 3, 'wip', { DEPLOY_TAG: 'no tag' })
  t.match(wrong, { code: 2 }, wrong.console)
  for (const kind of ['xml', 'ndjson'])
    t.notOk(existsSync(join(folder, `${reportOf('wip', 3)}.${kind}`)), kind)
  t.equal((await run(whichDigest, 3, 'wip')).out, '')
})

t.test('a push that the registry does not take goes to the controller', async (t) => {
  const image = sampleImage(['a layer'])
  const socket = join(folder, 'docker.sock')
  const engine = createServer(({ url }, response) => {
    response.end(url?.endsWith('/images/api:7/get') ? savedArchive(image, 'api:7') : undefined)
  }).listen(socket)
  await once(engine, 'listening')
  t.teardown(() => engine.close())
  const pushed = await run(push, 1, 'wip', { PUSH_IMAGE: 'api:7', DOCKER_HOST: `unix://${socket}` })
  t.match(pushed, { code: 0 }, pushed.console)
  t.match(
    readFileSync(join(folder, 'docker.log'), 'utf8'),
    /docker push api:7\n$/,
    'the registry was asked first'
  )
  const stored = await fetch(`${controller.url}/v2/api/manifests/7`, {
    headers: { authorization: `Bearer ${controller.token}` }
  })
  t.equal(stored.headers.get('docker-content-digest'), image.digest)
})

/** A build whose second host has taken its command and works on it, until `go` is called. */
const startHanging = async (number: number, tag: string): Promise<{ building: Build; go: () => void }> => {
  const reached = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  behaviours.set('s2', (command) => {
    if (command.body.kind !== 'release') return workOn('s2')(command)
    reached.resolve()
    return held.promise.then(() => workOn('s2')(command))
  })
  const building = await start(byTag, number, 'staging', { DEPLOY_TAG: tag })
  await Promise.race([reached.promise, building.ended])
  await building.says('in staging')
  behaviours.clear()
  return { building, go: held.resolve }
}
const servedNow = () =>
  Object.fromEntries(['s1', 's2'].map((host) => [host, served.get(host)?.at(-1)?.digest]))
/** To the end of its events. */
const endOf = async (id: string): Promise<void> => {
  const { events } = await openEventStream(`${controller.url}/v1/deployments/${id}/events`, controller.token)
  for await (const _ of events);
}

t.test('an aborted build leaves no lock, and the old version serves', async (t) => {
  const before = await status('staging')
  const old = servedNow()
  const { building } = await startHanging(4, '4')
  t.match(await status('staging'), { lock: { reason: `${job}4/` } })
  building.signal('SIGTERM')
  const { code, console } = await building.ended
  t.equal(code, 6, console)
  t.match(console, /SIGTERM: cancelling the deployment/)
  t.match((await deployments('staging'))[0], { phase: 'ended', outcome: 'cancelled' })
  t.match(await status('staging'), { release: before?.release, lock: null })
  const { junit, result } = readReports('staging', 4)
  t.same(servedNow(), old)
  t.same(old, { s1: digestOf('3'), s2: digestOf('3') })
  const targets = ['s1', 's2'].map((host) => ({ host, state: 'reverted', serving: 'old' }))
  t.match(result, { outcome: 'cancelled', targets })
  t.not(junit.children[0]?.attributes['failures'], '0')
})

t.test('a build that Jenkins kills after the signal is cancelled all the same', async (t) => {
  const before = await status('staging')
  const old = servedNow()
  const asked = Promise.withResolvers<void>()
  const killed = Promise.withResolvers<RunOutcome>()
  cancelled = () => {
    asked.resolve()
    return killed.promise
  }
  const { building } = await startHanging(5, '5')
  building.signal('SIGTERM')
  await asked.promise
  building.signal('SIGKILL')
  t.match(await building.ended, { signal: 'SIGKILL' })
  killed.resolve(stopped('s2'))
  const [{ id } = { id: '' }] = await deployments('staging')
  await endOf(id)
  t.match((await deployments('staging'))[0], { id, outcome: 'cancelled' })
  t.same(servedNow(), old)
  t.match(await status('staging'), { release: before?.release, lock: null })
})

t.test(
  'a build that is killed at once leaves a deployment that ends by itself; the next one waits',
  async (t) => {
    const { building, go } = await startHanging(6, '6')
    building.signal('SIGKILL')
    t.match(await building.ended, { signal: 'SIGKILL' })
    const { junit, events } = readReports('staging', 6)
    t.match(junit.children[0]?.attributes, { errors: '1' }, 'the report says that the end is not known')
    t.equal(events[0]?.type, 'deployment', 'what it had heard is there')
    const next = await start(byTag, 7, 'staging', { DEPLOY_TAG: '7' })
    await next.says('waiting up to 15m')
    go()
    const ended = await next.ended
    t.match(ended, { code: 0 }, ended.console)
    const [latest, former] = await deployments('staging')
    t.match([latest, former], [{ outcome: 'succeeded' }, { outcome: 'succeeded' }])
    t.match(await status('staging'), { lock: null })
    t.same(servedNow(), { s1: digestOf('7'), s2: digestOf('7') })
  }
)
