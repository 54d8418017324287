import t from 'tap'
import { buildCreateRequest, type CreateInput } from '../../../../packages/agent/src/core/create-request.ts'
import { apiMinorOf, expressRequest } from '../../../../packages/agent/src/core/express-request.ts'
import { healthyTimeoutOf } from '../../../../packages/agent/src/core/health.ts'
import { pinnedImage } from '../../../../packages/protocol/src/index.ts'
import { readServiceFiles, type ServiceSpec } from '../../../../packages/protocol/src/spec/index.ts'

const image = pinnedImage.parse({ repository: 'reg:5000/app', tag: '1', digest: `sha256:${'a'.repeat(64)}` })

const specOf = (...lines: string[]): ServiceSpec => {
  const text = ['services:', '  api:', '    image: app', ...lines.map((line) => `    ${line}`)].join('\n')
  const [spec] = Object.values(readServiceFiles([{ name: 'a.yaml', text }], { environment: {} }).services)
  if (spec === undefined) throw new Error('no service was read')
  return spec
}

const build = (spec: ServiceSpec, more: Partial<CreateInput> = {}) =>
  buildCreateRequest({
    spec,
    image: `${image.repository}@${image.digest}`,
    name: 'api-r1-0',
    labels: { 'longshore.release': '1' },
    apiMinor: 47,
    ...more
  })

t.test("the old tool's options give the same container as docker run did", async (t) => {
  const spec = specOf(
    'ports: ["80:8888"]',
    'environment: {NODE_ENV: staging}',
    'logging: {driver: syslog}',
    'restart: always'
  )
  t.same(build(spec), {
    name: 'api-r1-0',
    platform: null,
    body: {
      Image: `reg:5000/app@sha256:${'a'.repeat(64)}`,
      Tty: false,
      OpenStdin: false,
      StopTimeout: 10,
      Env: ['NODE_ENV=staging'],
      Labels: { 'longshore.release': '1' },
      ExposedPorts: { '8888/tcp': {} },
      HostConfig: {
        PortBindings: { '8888/tcp': [{ HostIp: '', HostPort: '80' }] },
        RestartPolicy: { Name: 'always', MaximumRetryCount: 0 },
        NetworkMode: 'bridge',
        LogConfig: { Type: 'syslog', Config: {} },
        Privileged: false,
        ReadonlyRootfs: false
      }
    },
    furtherNetworks: [],
    unsupported: []
  })
})

const hostConfigs: [line: string, expected: object][] = [
  ['mem_limit: 1m', { Memory: 1048576 }],
  ['memswap_limit: -1', { MemorySwap: -1 }],
  ['cpus: 1.5', { NanoCpus: 1_500_000_000 }],
  ['pids_limit: 9', { PidsLimit: 9 }],
  ['shm_size: 2k', { ShmSize: 2048 }],
  ['init: true', { Init: true }],
  ['privileged: true', { Privileged: true }],
  ['read_only: true', { ReadonlyRootfs: true }],
  ['cap_add: [NET_ADMIN]', { CapAdd: ['NET_ADMIN'] }],
  ['extra_hosts: ["a:1.2.3.4"]', { ExtraHosts: ['a:1.2.3.4'] }],
  ['dns: 1.1.1.1', { Dns: ['1.1.1.1'] }],
  ['network_mode: host', { NetworkMode: 'host' }],
  ['pid: host', { PidMode: 'host' }],
  ['tmpfs: /run:size=1m', { Tmpfs: { '/run': 'size=1m' } }],
  ['sysctls: {net.core.somaxconn: 5}', { Sysctls: { 'net.core.somaxconn': '5' } }],
  ['ulimits: {nofile: 7}', { Ulimits: [{ Name: 'nofile', Soft: 7, Hard: 7 }] }],
  ['volumes: ["/a:/b:ro"]', { Binds: ['/a:/b:ro'] }],
  ['volumes: ["data:/b"]', { Mounts: [{ Type: 'volume', Source: 'data', Target: '/b', ReadOnly: false }] }],
  [
    'volumes: [{type: bind, source: /a, target: /b}]',
    { Mounts: [{ Type: 'bind', Source: '/a', Target: '/b' }] }
  ],
  [
    'devices: ["/dev/a"]',
    { Devices: [{ PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'rwm' }] }
  ],
  ['gpus: all', { DeviceRequests: [{ Driver: 'nvidia', Count: -1, Capabilities: [['gpu']] }] }],
  ['annotations: {a: b}', { Annotations: { a: 'b' } }],
  ['restart: on-failure:2', { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } }]
]

t.test('each key becomes its field of HostConfig', async (t) => {
  for (const [line, expected] of hostConfigs) t.match(build(specOf(line)).body.HostConfig, expected, line)
})

t.test('process keys become their fields of the body', async (t) => {
  const spec = specOf(
    'command: a b',
    'entrypoint: [c]',
    'user: 1:2',
    'working_dir: /w',
    'hostname: h',
    'stop_signal: SIGINT',
    'stop_grace_period: 1500ms',
    'platform: linux/arm64'
  )
  const request = build(spec)
  t.match(request.body, {
    Cmd: ['a', 'b'],
    Entrypoint: ['c'],
    User: '1:2',
    WorkingDir: '/w',
    Hostname: 'h',
    StopSignal: 'SIGINT',
    StopTimeout: 2
  })
  t.equal(request.platform, 'linux/arm64')
})

t.test('creates with the first network and lists the others', async (t) => {
  const request = build(specOf('networks: {one: {aliases: [x]}, two: {}}'))
  t.match(request.body, {
    HostConfig: { NetworkMode: 'one' },
    NetworkingConfig: { EndpointsConfig: { one: { Aliases: ['x'] } } }
  })
  t.same(request.furtherNetworks, [{ name: 'two', endpoint: {} }])
})

t.test('gives an address on the own network and publishes nothing there', async (t) => {
  const { body } = build(specOf('ports: ["80:90"]'), {
    ownNetwork: { name: 'longshore', ipv4Address: '10.9.0.2' }
  })
  t.same((body.HostConfig as { PortBindings: object }).PortBindings, {})
  t.match(body, {
    NetworkingConfig: { EndpointsConfig: { longshore: { IPAMConfig: { IPv4Address: '10.9.0.2' } } } }
  })
})

t.test('leaves out what an older API does not know, and says so', async (t) => {
  const spec = specOf('annotations: {a: b}', 'healthcheck: {test: x, interval: 1s, start_interval: 2s}')
  const old = build(spec, { apiMinor: 41 })
  t.same(old.unsupported, [
    'annotations need Engine API 1.43',
    'healthcheck.start_interval needs Engine API 1.44'
  ])
  t.notOk('Annotations' in old.body.HostConfig)
  t.same(old.body['Healthcheck'], { Test: ['CMD-SHELL', 'x'], Interval: 1e9 })
  t.same(build(spec).unsupported, [])
  t.match(build(spec).body['Healthcheck'], { StartInterval: 2e9 })
})

t.test(
  'a run gets everything that the engine is asked with, or a refusal that names all of it',
  async (t) => {
    const input = { image: `reg:5000/app@${image.digest}`, name: 'api-r1-0', labels: {} }
    const spec = specOf('platform: linux/arm64', 'networks: [front, back]')
    t.match(expressRequest({ ...input, spec }, apiMinorOf('1.47')), {
      platform: 'linux/arm64',
      body: { Image: input.image, HostConfig: { NetworkMode: 'front' } },
      joins: [{ network: 'back' }]
    })
    const newer = specOf('annotations: {a: b}', 'healthcheck: {test: x, interval: 1s, start_interval: 2s}')
    t.throws(() => expressRequest({ ...input, spec: newer }, apiMinorOf('1.41')), {
      code: 'spec-unsupported',
      message: /annotations need Engine API 1.43; healthcheck.start_interval needs Engine API 1.44/
    })
  }
)

t.test('waits for healthy as long as the check may need, at least a minute', async (t) => {
  t.equal(healthyTimeoutOf(null), 60_000)
  t.equal(
    healthyTimeoutOf({ intervalMs: 30_000, timeoutMs: 10_000, retries: 2, startPeriodMs: 5_000 }),
    125_000
  )
  t.equal(healthyTimeoutOf({ intervalMs: 0, timeoutMs: 0, retries: 0, startPeriodMs: 0 }), 240_000)
})
