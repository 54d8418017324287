// The content of the vectors: one valid payload of each kind, and messages with what is wrong with them. The keys
// are for tests only: their private parts are public.
export const testKeys = {
  controller: {
    kty: 'OKP',
    crv: 'Ed25519',
    x: 'iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w',
    d: 'AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE'
  },
  stranger: {
    kty: 'OKP',
    crv: 'Ed25519',
    x: '7UkoxijRwsbq6QM4kFmVYSlZJzpcY_k2NsFGFKyHN9E',
    d: 'AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM'
  },
  agentEncryption: {
    kty: 'OKP',
    crv: 'X25519',
    x: 'yNcY5Y1ERsIlXtlZApXtvPZIJjrt7zIWzpddeUUM2GY',
    d: '2Anoe5Ua6mgJ9RSLXiNgBVlBzeTa9kxIYLDK5NKbm20'
  },
  /** Half of the key agreement that a sender makes anew each time. */
  ephemeral: {
    kty: 'OKP',
    crv: 'X25519',
    x: 'QS7k_jkM8OZ6OxRyQXkFJC8b4zVbdv0BHKnLEaGAcj0',
    d: 'yNqzeLTMGwEGI2ZIjm8pbX7LeK1ykO8VPjbT2W27jUA'
  }
} as const

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5)
const id = (prefix: string): string => `${prefix}_0123456789abcdefghij`
const installation = id('ins')
const clientNonce = 'AAAAAAAAAAAAAAAAAAAAAA'
const digest = `sha256:${'ab'.repeat(32)}`
const fence = { generation: 3, epoch: 1, index: 0 }
const place = { environment: 'staging', service: 'api' }

export const facts = {
  os: 'Debian GNU/Linux 12',
  kernel: '6.1.0',
  architecture: 'x86_64',
  engineVersion: '20.10.24',
  engineApiVersion: '1.41',
  imageStore: 'classic',
  cpus: 2,
  memoryBytes: 4_000_000_000
} as const
const container = {
  id: '0123456789ab',
  name: 'api-r7-0',
  ...place,
  release: 7,
  index: 0,
  deployment: id('dep'),
  state: 'running',
  health: 'healthy',
  restartCount: 0,
  startedAtMs: nowMs,
  exitCode: null,
  image: 'registry.example/api:1.2.3',
  isKept: false,
  specHash: 'ab'.repeat(32),
  role: 'serving',
  changes: ['memory limit is 64 MiB, not unlimited']
}
const traffic = {
  ...place,
  requests: 1200,
  errors: 3,
  requestsPerSecond: 20.5,
  errorsPerSecond: 0,
  sessions: 14,
  upgraded: 2,
  latencyMs: 3.5
}
const keptImage = { ...place, releases: [7, 6], digest, sizeBytes: 1_000_000 }
const withProxy = { proxy: { state: 'running', version: '2.6.12', detail: '' }, traffic: [traffic] }
const { specHash: _, role: _role, changes: _changes, ...containerOfBefore } = container
export const inventory = {
  isEngineReachable: true,
  containers: [container],
  diskFreeBytes: 1_000_000,
  diskTotalBytes: 2_000_000,
  load: 0.25,
  memoryFreeBytes: 1_000_000
}
export const hello = {
  type: 'hello',
  agentVersion: '0.1.0',
  hostName: 'web-1.example',
  facts,
  policy: { state: 'absent', path: null, detail: '' },
  inventory,
  marks: [{ ...place, fence, release: 7 }],
  runs: [id('cmd')],
  clockSkewMs: 12
} as const
export const welcome = {
  type: 'welcome',
  session: 'A'.repeat(43),
  agent: id('agt'),
  environment: 'staging',
  labels: { disk: 'ssd' },
  clientNonce,
  serverNonce: 'BBBBBBBBBBBBBBBBBBBBBA',
  nowMs,
  pingIntervalMs: 15_000,
  silenceLimitMs: 40_000,
  reportsUpTo: 0
} as const
const progress = { type: 'progress', command: id('cmd'), step: 'pull', position: 1, total: 4 }
const malformed = 'frame-malformed'

const logged = '0123456789ab'
const logLine = {
  kind: 'line',
  container: logged,
  from: 'stderr',
  time: '2026-01-01T00:00:00.000000001Z',
  text: 'ready\u001b[0m'
}
const logEntries = [
  { kind: 'begun', container: logged, name: 'web-r7-0', release: 7, index: 0 },
  logLine,
  { ...logLine, from: 'tty', time: null, isCut: true },
  { kind: 'left-out', container: logged, lines: 12 },
  { kind: 'left-out', container: logged, lines: null },
  { kind: 'unreadable', container: logged, detail: 'the log driver keeps nothing' },
  { kind: 'ended', container: logged },
  { kind: 'done', outcome: 'complete', detail: '' }
]
const logsData = (entries: object[]) => ({ type: 'logs.data', stream: 1, entries })

const healthAnswer = { container: 'web-r2-0', attempt: 3, isOk: false, answer: 'status 503', tookMs: 12 }

const upMessages: { name: string; message: object; code: string | null }[] = [
  { name: 'hello', message: hello, code: null },
  { name: 'accepted', message: { type: 'accepted', command: id('cmd') }, code: null },
  { name: 'refused', message: { type: 'refused', command: id('cmd'), code: 'busy', detail: '' }, code: null },
  { name: 'progress', message: progress, code: null },
  { name: 'report', message: { type: 'report', jws: 'a.b.c' }, code: null },
  { name: 'inventory', message: { type: 'inventory', inventory }, code: null },
  {
    name: 'progress with output',
    message: { ...progress, step: 'await-exit', lines: ['1 migration', 'done'] },
    code: null
  },
  {
    name: 'progress while connections are drained',
    message: { ...progress, step: 'drain-containers', connections: { requests: 3, upgraded: 12 } },
    code: null
  },
  {
    name: 'progress with answers of health checks',
    message: { ...progress, step: 'await-healthy', health: [healthAnswer] },
    code: null
  },
  {
    name: 'progress with an answer that was no attempt',
    message: { ...progress, health: [{ ...healthAnswer, attempt: 0 }] },
    code: malformed
  },
  {
    name: 'an inventory with traffic',
    message: { type: 'inventory', inventory: { ...inventory, ...withProxy } },
    code: null
  },
  {
    name: 'an inventory with traffic of less than nothing',
    message: {
      type: 'inventory',
      inventory: { ...inventory, ...withProxy, traffic: [{ ...traffic, requests: -1 }] }
    },
    code: malformed
  },
  {
    name: 'an inventory with images',
    message: { type: 'inventory', inventory: { ...inventory, images: [keptImage] } },
    code: null
  },
  {
    name: 'an inventory with an image of less than nothing',
    message: { type: 'inventory', inventory: { ...inventory, images: [{ ...keptImage, sizeBytes: -1 }] } },
    code: malformed
  },
  {
    name: 'an inventory without the fields that came later',
    message: { type: 'inventory', inventory: { ...inventory, containers: [containerOfBefore] } },
    code: null
  },
  {
    name: 'progress with 51 lines',
    message: { ...progress, lines: Array(51).fill('x') },
    code: malformed
  },
  {
    name: 'a container of an unknown role',
    message: {
      type: 'inventory',
      inventory: { ...inventory, containers: [{ ...container, role: 'spare' }] }
    },
    code: malformed
  },
  { name: 'lines of logs and what there is to say of them', message: logsData(logEntries), code: null },
  {
    name: 'a line of a log from a container without a name',
    message: logsData([{ ...logLine, container: '' }]),
    code: malformed
  },
  {
    name: 'a line of a log with a time of another form',
    message: logsData([{ ...logLine, time: '2026-01-01T00:00:00Z' }]),
    code: malformed
  },
  { name: 'logs without an entry', message: logsData([]), code: malformed },
  { name: '501 entries of logs', message: logsData(Array(501).fill(logLine)), code: malformed },
  { name: 'bye', message: { type: 'bye', reason: 'stopping' }, code: null },
  { name: 'a field from a later version', message: { ...progress, mood: 'good' }, code: null },
  {
    name: 'hello with an encryption key',
    message: { ...hello, encryptionKey: { kty: 'OKP', crv: 'X25519', x: testKeys.agentEncryption.x } },
    code: null
  },
  {
    name: 'hello with a private encryption key',
    message: { ...hello, encryptionKey: testKeys.agentEncryption },
    code: malformed
  },
  { name: 'hello without facts', message: { ...hello, facts: undefined }, code: malformed },
  { name: 'hello with a host name of spaces', message: { ...hello, hostName: 'a b' }, code: malformed },
  { name: 'accepted with a foreign id', message: { type: 'accepted', command: id('dep') }, code: malformed },
  {
    name: 'refused with an unknown code',
    message: { type: 'refused', command: id('cmd'), code: 'tired', detail: '' },
    code: malformed
  },
  { name: 'progress at position 0', message: { ...progress, position: 0 }, code: malformed },
  {
    name: 'progress with a detail of 301',
    message: { ...progress, detail: 'x'.repeat(301) },
    code: malformed
  },
  { name: 'bye without a reason', message: { type: 'bye' }, code: malformed },
  { name: 'a down message going up', message: welcome, code: malformed },
  { name: 'a message that is null', message: [null], code: malformed }
]

/** @param controllerKid thumbprint of the controller's test key */
export const samplePayloads = (controllerKid: string) => {
  const { d: _, ...controllerJwk } = testKeys.controller
  const join = {
    installation,
    id: id('tok'),
    key: controllerKid,
    environment: 'staging',
    labels: { disk: 'ssd' },
    issuedAtMs: nowMs,
    expiresAtMs: nowMs + 3_600_000,
    uses: null,
    replace: false
  }
  const ack = { type: 'ack', reportsUpTo: 4 }
  return {
    frame: { sid: 'A'.repeat(43), seq: 1, at: nowMs, messages: [ack] },
    login: {
      command: id('cmd'),
      registry: 'registry.example.com',
      username: 'puller',
      password: 'correct horse'
    },
    command: {
      id: id('cmd'),
      installation,
      agent: id('agt'),
      ...place,
      deployment: id('dep'),
      fence,
      notAfterMs: nowMs + 60_000,
      timeLimitMs: 60_000,
      body: { kind: 'settle', release: 7, keepImages: 1 }
    },
    'command to upgrade': {
      id: id('cmd'),
      installation,
      agent: id('agt'),
      environment: place.environment,
      service: 'longshore-agent',
      deployment: id('dep'),
      fence,
      notAfterMs: nowMs + 60_000,
      timeLimitMs: 600_000,
      body: {
        kind: 'upgrade',
        release: 2,
        image: { repository: 'registry.example.com/longshore/agent', tag: '1.3.0', digest },
        sources: [{ kind: 'registry' }]
      }
    },
    assertion: {
      installation,
      key: controllerKid,
      jti: 'CCCCCCCCCCCCCCCCCCCCCA',
      issuedAtMs: nowMs,
      minor: 0,
      capabilities: [],
      nonce: clientNonce
    },
    enrol: {
      installation,
      token: 'a.b.c',
      hostName: 'web-1.example',
      encryptionKey: { kty: 'OKP', crv: 'X25519', x: 'rAGyIJ6GNU-4UyN7XeD0-rE8f8v0M6YcAZNpYX_s8Qs' },
      facts,
      nonce: clientNonce,
      labels: {},
      issuedAtMs: nowMs
    },
    'enrol-answer': {
      nonce: clientNonce,
      agent: id('agt'),
      environment: 'staging',
      labels: {},
      state: 'active',
      keyChain: ['a.b.c'],
      nowMs
    },
    join,
    api: { installation, id: id('tok'), name: 'jenkins', issuedAtMs: nowMs, expiresAtMs: null },
    key: { installation, number: 1, key: controllerJwk, previous: null, announcedAtMs: nowMs },
    receipt: {
      command: id('cmd'),
      number: 1,
      outcome: {
        status: 'succeeded',
        result: { kind: 'resolve', digest },
        serving: 'new',
        release: 7
      },
      steps: [{ step: 'pull', startedMs: 0, endedMs: 5, outcome: 'done' }]
    },
    'receipt with traffic': {
      command: id('cmd'),
      number: 2,
      outcome: {
        status: 'succeeded',
        result: {
          kind: 'release',
          containers: ['0123456789ab'],
          traffic: { switchMs: 4.2, gapMs: null, drainMs: 1900, closed: { requests: 0, upgraded: 2 } }
        },
        serving: 'new',
        release: 7
      },
      steps: [{ step: 'switch-traffic', startedMs: 900, endedMs: 905, outcome: 'done' }]
    },
    'receipt of a stage with sources': {
      command: id('cmd'),
      number: 4,
      outcome: {
        status: 'succeeded',
        result: {
          kind: 'stage',
          image: { digest, platform: 'linux/amd64', diffIds: [digest], sizeBytes: 1000, manifest: digest },
          isRunning: false,
          source: { kind: 'mirror', at: 'mirror.example/hub' },
          failedSources: [
            { source: { kind: 'registry' }, code: 'registry-unavailable', detail: 'connection refused' }
          ]
        },
        serving: 'old',
        release: 6
      },
      steps: []
    },
    'receipt of an upgrade': {
      command: id('cmd'),
      number: 5,
      outcome: {
        status: 'succeeded',
        result: { kind: 'upgrade', version: '1.3.0', former: '1.2.0' },
        serving: 'new',
        release: 2
      },
      steps: []
    },
    'receipt of a plan': {
      command: id('cmd'),
      number: 3,
      outcome: {
        status: 'succeeded',
        result: {
          kind: 'plan',
          isRunning: false,
          serves: { release: 6, image: null },
          steps: ['switch traffic'],
          refusals: [],
          notices: ['the port is taken over from the container: about 2 s without service']
        },
        serving: 'old',
        release: 6
      },
      steps: []
    },
    time: { nowMs, jti: 'CCCCCCCCCCCCCCCCCCCCCA' },
    pull: { iss: id('agt'), aud: installation, iat: nowMs / 1000, exp: nowMs / 1000 + 300 },
    leave: { installation, key: controllerKid, jti: clientNonce, issuedAtMs: nowMs },
    ack,
    hello,
    upMessages
  }
}
