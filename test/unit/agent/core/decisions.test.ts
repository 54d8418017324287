// The small decisions of the agent's core: what to answer to a command, what the host's policy allows, when a
// container is healthy, which image is the pinned one.
import { type CommandBody, type Digest, type Fence, type ServiceName, serviceName } from '@longshore/protocol'
import t from 'tap'
import { decideAcceptance, objectionsTo } from '../../../../packages/agent/src/core/accept.ts'
import {
  awaitHealth,
  type HealthEvent,
  type HealthState,
  healthyTimeoutOf,
  judgeHealth,
  monitorHealth,
  stableForMs
} from '../../../../packages/agent/src/core/health.ts'
import {
  hasDigest,
  isPlatform,
  ownTag,
  releaseOfTag
} from '../../../../packages/agent/src/core/image-match.ts'
import { readOwnLabels, writeOwnLabels } from '../../../../packages/agent/src/core/own-labels.ts'
import { checkPolicy, hostPolicy } from '../../../../packages/agent/src/core/policy.ts'
import { ownershipOf } from '../../../../packages/agent/src/core/release-record.ts'
import {
  releaseBody,
  sampleCommand,
  sampleDigest,
  sampleRouting,
  sampleSpec,
  startFirstSpec
} from '../../../support/run-samples.ts'

const fence = (generation: number, epoch = 0, index = 0): Fence => ({ generation, epoch, index })
const input = (change: Partial<Parameters<typeof decideAcceptance>[0]> = {}) => ({
  command: sampleCommand(5, releaseBody(1, sampleSpec())),
  known: 'absent' as const,
  highestFence: fence(4),
  controllerNowMs: 0,
  openCommands: 0,
  maxOpenCommands: 2,
  policy: { kind: 'absent' as const },
  ...change
})

t.test('a command is taken once, and refused with the reason that counts first', async (t) => {
  t.same(decideAcceptance(input()), { kind: 'take' })
  t.same(decideAcceptance(input({ highestFence: null })), { kind: 'take' })
  t.same(decideAcceptance(input({ highestFence: fence(5) })), { kind: 'take' }, 'the same fence is not older')
  t.match(decideAcceptance(input({ highestFence: fence(5, 0, 1) })), { kind: 'refuse', code: 'stale' })
  t.match(decideAcceptance(input({ controllerNowMs: 10_000_001 })), { kind: 'refuse', code: 'expired' })
  t.match(decideAcceptance(input({ openCommands: 2 })), { kind: 'refuse', code: 'busy' })
  t.match(decideAcceptance(input({ policy: { kind: 'invalid', detail: 'line 3' } })), {
    code: 'policy',
    detail: /line 3/
  })
  const late = { highestFence: fence(9), controllerNowMs: 99_000_000 }
  t.same(decideAcceptance(input({ ...late, known: 'open' })), { kind: 'repeat-accepted' })
  t.same(decideAcceptance(input({ ...late, known: 'ended' })), { kind: 'repeat-report' })
  const plan = sampleCommand(5, { ...(releaseBody(1, sampleSpec()) as object), kind: 'plan' })
  const invalid = { kind: 'invalid', detail: 'line 3' } as const
  t.same(
    decideAcceptance(input({ command: plan, highestFence: fence(9), policy: invalid })),
    { kind: 'take' },
    'a plan is told what a release would be refused for'
  )
  t.match(objectionsTo(plan, invalid), [{ code: 'policy', detail: /line 3/ }])
  t.match(decideAcceptance(input({ ...late, command: plan })), { code: 'expired' })
  const { recreate: _, ...rest } = {
    recreate: false,
    ...(releaseBody(1, sampleSpec({ networkMode: 'host' })) as object)
  }
  const onHost = sampleCommand(5, { ...rest, kind: 'rehearse' })
  t.match(decideAcceptance(input({ command: onHost })), { code: 'unsupported', detail: /same ports/ })
})

t.test('what HAProxy cannot bring traffic to is refused with words', async (t) => {
  const port = { target: 8080, published: 80, hostIp: null, protocol: 'tcp' as const }
  const answer = (change: Parameters<typeof sampleSpec>[0]) =>
    decideAcceptance(input({ command: sampleCommand(5, releaseBody(1, startFirstSpec(change))) }))
  t.same(answer({ replicas: 3 }), { kind: 'take' }, 'several replicas stand behind one port')
  t.match(answer({ ports: [{ ...port, protocol: 'udp' }] }), { code: 'unsupported', detail: /UDP/ })
  t.match(answer({ ports: [{ ...port, published: null }] }), {
    code: 'unsupported',
    detail: /fixed host port/
  })
  for (const networkMode of ['host', 'none', 'container:x'])
    t.match(answer({ networkMode }), { code: 'unsupported', detail: new RegExp(networkMode) })
  const several = sampleCommand(5, releaseBody(1, sampleSpec({ replicas: 2, ports: [port] })))
  t.match(decideAcceptance(input({ command: several })), { code: 'unsupported', detail: /start-first/ })
})

t.test('the policy says which files HAProxy may read as certificates', async (t) => {
  const tls = [{ certificate: '/etc/tls/site.pem', key: '/etc/tls/site.key' }]
  const spec = startFirstSpec({ routing: { ...sampleRouting, tls } })
  const check = (file: unknown) => {
    const policy = hostPolicy.parse(file)
    return checkPolicy({ kind: 'active', policy }, 'web' as ServiceName, releaseBody(1, spec) as CommandBody)
  }
  t.equal(check({ allow: { tls_files: ['/etc/tls'] } }), null)
  t.match(check({}), 'the TLS file /etc/tls/site.pem')
  t.match(check({ allow: { tls_files: ['/etc/tls/site.pem'] } }), '/etc/tls/site.key')
  t.equal(checkPolicy({ kind: 'absent' }, 'web' as ServiceName, releaseBody(1, spec) as CommandBody), null)
})

t.test('the policy allows what it lists and refuses the rest by name', async (t) => {
  const policy = hostPolicy.parse({
    repositories: ['registry.test/*'],
    services: ['web'],
    allow: { bind_mounts: ['/srv/data'], cap_add: ['NET_ADMIN'] },
    ports: [80, '8000-8100']
  })
  const check = (change: Parameters<typeof sampleSpec>[0], service = 'web') =>
    checkPolicy(
      { kind: 'active', policy },
      service as ServiceName,
      releaseBody(1, sampleSpec(change)) as CommandBody
    )
  const bind = (source: string) => ({
    volumes: [{ type: 'bind' as const, source, target: '/data', isReadOnly: false }]
  })
  const port = (published: number | null) => ({
    ports: [{ target: 80, published, hostIp: null, protocol: 'tcp' as const }]
  })
  t.equal(check({}), null)
  t.match(check({}, 'other'), 'other')
  t.match(check({ isPrivileged: true }), 'privileged')
  t.match(check({ networkMode: 'host' }), 'network')
  t.equal(check(bind('/srv/data/x')), null)
  t.equal(check(bind('/srv/data')), null)
  t.match(check(bind('/srv/data2')), '/srv/data2')
  t.match(check(bind('/srv/data/../../etc')), 'etc', 'a way out of the prefix is refused')
  t.equal(check({ capAdd: ['CAP_NET_ADMIN'] }), null)
  t.match(check({ capAdd: ['SYS_ADMIN'] }), 'SYS_ADMIN')
  t.equal(check(port(8050)), null)
  t.equal(check(port(null)), null)
  t.match(check(port(443)), '443')
  t.match(check({ gpus: 'all' }), 'gpus')
  t.match(check({ runtime: 'runsc' }), 'the runtime runsc')
  t.match(check({ cgroupParent: '/apps' }), 'the cgroup_parent /apps')
  t.not(hostPolicy.safeParse({ alow: {} }).success, true, 'a misspelt key makes the file invalid')
})

t.test('the policy says what may be taken over and which parts of the machine may be had', async (t) => {
  const policy = hostPolicy.parse({
    allow: { replace: ['legacy-*'], gpus: true, runtime: ['runsc'], cgroup_parent: ['/apps/*'] }
  })
  const check = (change: Parameters<typeof sampleSpec>[0], replace: string | null = null) =>
    checkPolicy(
      { kind: 'active', policy },
      'web' as ServiceName,
      releaseBody(1, sampleSpec(change), undefined, { replace }) as CommandBody
    )
  t.equal(check({ gpus: 2, runtime: 'runsc', cgroupParent: '/apps/web' }, 'legacy-web'), null)
  t.match(check({}, 'database'), 'taking over the container database')
  t.match(check({ runtime: 'nvidia' }), 'nvidia')
  t.match(check({ cgroupParent: '/system' }), '/system')
  t.match(check({ cgroupParent: '/apps/../system' }), '/apps/../system')
  const body = { ...(releaseBody(1, sampleSpec({ gpus: 1 })) as object), kind: 'run-once', command: ['a'] }
  const none = { kind: 'active', policy: hostPolicy.parse({}) } as const
  t.match(checkPolicy(none, 'web' as ServiceName, body as unknown as CommandBody), 'gpus')
})

t.test('no other spelling gets what the policy refuses', async (t) => {
  const policy = hostPolicy.parse({
    repositories: ['registry.test*', 'nginx*', 'team/*'],
    allow: { bind_mounts: ['/srv'], devices: ['/dev/bus/*'] }
  })
  const check = (change: Parameters<typeof sampleSpec>[0], repository = 'team/web') =>
    checkPolicy(
      { kind: 'active', policy },
      'web' as ServiceName,
      releaseBody(1, sampleSpec(change), { repository, tag: 'v1', digest: sampleDigest }) as CommandBody
    )
  const device = (source: string) => ({ devices: [{ source, target: '/dev/x', permissions: 'rwm' }] })
  t.match(check({ networks: [{ name: 'host', aliases: [] }] }), "host's network", 'the network named host')
  const others = [
    { name: 'own', aliases: [] },
    { name: 'container:web', aliases: [] }
  ]
  t.match(
    check({ networks: others }),
    'container:web',
    'the network of another container, which may be the host'
  )
  t.match(check({ networkMode: 'container:web' }), 'container:web')
  t.match(check({ pid: 'container:web' }), 'container:web')
  t.match(check({ ipc: 'container:web' }), 'container:web')
  t.equal(check({ ipc: 'private', networks: [{ name: 'own', aliases: [] }] }), null)
  t.match(check({ usernsMode: 'host' }), 'userns_mode: host')
  t.match(check({ securityOpt: ['no-new-privileges:true', 'seccomp=unconfined'] }), 'seccomp=unconfined')
  t.match(check({ securityOpt: ['no-new-privileges:false'] }), 'no-new-privileges:false')
  t.equal(check({ securityOpt: ['no-new-privileges', 'no-new-privileges=true'] }), null)
  t.equal(check(device('/dev/bus/usb')), null)
  t.match(check(device('/dev/bus/../sda')), '/dev/bus/../sda')
  t.match(
    check({}, 'registry.test.evil.example/web'),
    'registry.test.evil.example',
    'the rest is another registry'
  )
  t.match(check({}, 'nginx.evil.example/web'), 'nginx.evil.example')
  t.equal(check({}, 'nginx-unprivileged'), null)
})

type Look = Extract<HealthEvent, { kind: 'looked' }>
const look = (atMs: number, change: Partial<Look> = {}): Look => ({
  kind: 'looked',
  atMs,
  isRunning: true,
  isRestarting: false,
  startedAt: 'then',
  restartCount: 0,
  exitCode: 0,
  health: 'none',
  probe: null,
  ...change
})
const judgeAll = (begin: HealthState, events: readonly HealthEvent[]) => {
  let state = begin
  let last: ReturnType<typeof judgeHealth>['verdict'] = { kind: 'undecided', detail: '' }
  for (const event of events) {
    const judged = judgeHealth(state, event)
    state = judged.state
    last = judged.verdict
  }
  return last
}
const waiting = (change: Partial<Parameters<typeof awaitHealth>[0]> = {}) =>
  awaitHealth({ hasProbe: false, timeoutMs: 60_000, isTimeoutExplicit: false, atMs: 0, ...change })

t.test('a container without checks is healthy after it ran unchanged for five seconds', async (t) => {
  t.match(judgeAll(waiting(), [look(0), look(stableForMs - 1)]), { kind: 'undecided' })
  t.match(judgeAll(waiting(), [look(0), look(stableForMs)]), { kind: 'healthy' })
  t.match(
    judgeAll(waiting(), [look(0), look(9000, { restartCount: 1 })]),
    { code: 'container-restarted', detail: /^the container ended and was restarted$/ },
    'the code 0 of a container that runs again is not that of its end'
  )
  const restarting = judgeAll(waiting(), [look(0), look(9000, { isRestarting: true, exitCode: 70 })])
  t.match(restarting, { code: 'container-restarted', detail: /exit code 70/ })
  t.match(judgeAll(waiting(), [look(0), look(9000, { startedAt: 'later' })]), { code: 'container-restarted' })
  const ended = judgeAll(waiting(), [look(0, { isRunning: false, exitCode: 3 })])
  t.match(ended, { code: 'container-exited', detail: /exit code 3/ })
})

t.test('an engine that comes back begins the wait again instead of a verdict', async (t) => {
  const events = [
    look(0),
    { kind: 'engine-returned' as const, atMs: 4000 },
    look(4001, { startedAt: 'later' })
  ]
  t.match(judgeAll(waiting(), events), { kind: 'undecided' })
  t.match(judgeAll(waiting(), [...events, look(9001, { startedAt: 'later' })]), { kind: 'healthy' })
})

t.test('every configured check has to pass within the time limit', async (t) => {
  const healthy = look(1, { health: 'healthy' })
  t.match(judgeAll(waiting(), [healthy]), { kind: 'healthy' })
  t.match(judgeAll(waiting({ hasProbe: true }), [healthy]), { kind: 'undecided' })
  t.match(judgeAll(waiting({ hasProbe: true }), [{ ...healthy, probe: { isOk: true, detail: '' } }]), {
    kind: 'healthy'
  })
  t.match(judgeAll(waiting(), [look(60_000, { health: 'starting' })]), { code: 'health-timeout' })
  const unhealthy = look(1, { health: 'unhealthy' })
  t.match(judgeAll(waiting(), [unhealthy]), { code: 'unhealthy' })
  t.match(judgeAll(waiting({ isTimeoutExplicit: true }), [unhealthy]), { kind: 'undecided' })
  t.equal(healthyTimeoutOf(null), 60_000)
  const check = { intervalMs: 10_000, timeoutMs: 5_000, retries: 4, startPeriodMs: 20_000 }
  t.equal(healthyTimeoutOf(check), 95_000)
})

t.test('a watched container fails on the third failed probe in a row', async (t) => {
  const begin = monitorHealth({ hasProbe: true, monitorMs: 1000, atMs: 0 })
  const bad = (atMs: number) => look(atMs, { probe: { isOk: false, detail: 'status 500' } })
  t.match(judgeAll(begin, [bad(1), look(2), bad(3)]), { kind: 'undecided' })
  t.match(judgeAll(begin, [bad(1), look(2), bad(3), bad(4)]), { code: 'unhealthy' })
  t.match(judgeAll(begin, [look(1), look(1000)]), { kind: 'healthy' })
})

t.test("every service has a repository of its own for what it keeps, by Docker's rules", async (t) => {
  const services = ['web', 'a-b', 'a_b', 'a--b', 'a__b', 'a---b', 'a___b', 'a_-b', 'a-_b', 'a.b'].filter(
    (name) => serviceName.safeParse(name).success
  )
  const repositories = services.map((service) => ownTag(service, 'staging', 1).repository)
  t.equal(services.length, 9)
  t.equal(new Set(repositories).size, 9)
  t.same(repositories.slice(0, 3), ['longshore/web', 'longshore/a-b', 'longshore/a_b'])
  // https://distribution.github.io/reference: a path component
  for (const one of repositories) t.match(one, /^longshore\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/)
})

t.test('an image is the pinned one by its digest, and our labels and tags read back', async (t) => {
  const image = {
    id: 'sha256:1',
    repoTags: [],
    repoDigests: [`docker.io/library/web@${sampleDigest}`],
    os: 'linux',
    architecture: 'arm64',
    variant: 'v8',
    diffIds: [],
    sizeBytes: 1
  }
  t.ok(hasDigest(image, sampleDigest as Digest))
  t.notOk(hasDigest({ ...image, repoDigests: [] }, sampleDigest as Digest))
  t.ok(hasDigest({ ...image, repoDigests: [], id: sampleDigest }, sampleDigest as Digest), 'containerd store')
  t.ok(isPlatform(image, 'linux/arm64'))
  t.notOk(isPlatform(image, 'linux/amd64'))
  t.equal(releaseOfTag(ownTag('web', 'production', 12).tag, 'production'), 12)
  t.equal(releaseOfTag('production-r1', 'prod'), null)
  const owner = ownershipOf(sampleCommand(5, releaseBody(1, sampleSpec())), 1, 0, {
    specHash: 'abc',
    purpose: 'serving',
    restart: { name: 'on-failure', maxRetries: 3 }
  })
  t.same(readOwnLabels(writeOwnLabels(owner)), owner)
  const labels = writeOwnLabels(owner)
  t.equal(labels['longshore.restart'], 'on-failure:3')
  const { 'longshore.purpose': _, 'longshore.restart': _restart, ...older } = labels
  t.same(readOwnLabels(older), { ...owner, purpose: 'serving', restart: null }, 'of an older agent')
  t.equal(readOwnLabels({ ...labels, 'longshore.purpose': 'mirror' }), null, "a later agent's")
  t.equal(readOwnLabels({ 'longshore.installation': owner.installation }), null)
})
