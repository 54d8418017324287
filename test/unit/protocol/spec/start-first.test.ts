// What `order: start-first` gives a service, and which keys it needs, excludes and allows.
import t from 'tap'
import {
  readServiceFiles,
  type ServiceSpec,
  SpecError,
  type SpecProblem
} from '../../../../packages/protocol/src/spec/index.ts'

const startFirst = 'deploy: {update_config: {order: start-first}}'
const service = (...lines: string[]): string =>
  ['services:', '  api:', '    image: app', ...lines.map((line) => `    ${line}`)].join('\n')

const readAll = (...texts: string[]): ServiceSpec => {
  const files = texts.map((text, index) => ({ name: `f${index}.yaml`, text }))
  const [spec] = Object.values(readServiceFiles(files, { environment: {} }).services)
  if (spec === undefined) throw new Error('no service was read')
  return spec
}
const read = (...lines: string[]): ServiceSpec => readAll(service(...lines))
const published = (longshore: string): ServiceSpec =>
  read(startFirst, 'ports: ["80:8888"]', `x-longshore: {${longshore}}`)

const problemsOf = (...lines: string[]): readonly SpecProblem[] => {
  try {
    read(...lines)
  } catch (error) {
    if (error instanceof SpecError) return error.problems
    throw error
  }
  return []
}

t.test('has no routing with stop-first, and every default of it with start-first', async (t) => {
  t.equal(read('ports: ["80:8888"]').routing, null)
  const { routing, update } = read(startFirst, 'ports: ["80:8888"]')
  t.equal(update.order, 'start-first')
  t.same(routing, {
    mode: 'http',
    hosts: [],
    tls: [],
    hasProxyProtocol: false,
    isPooled: false,
    keep: 'running'
  })
  t.same(read(startFirst, 'x-longshore: {keep_images: 1}').routing, routing)
})

const pem = '/etc/tls/a.pem'
const forms: [keys: string, expected: object][] = [
  ['mode: tcp', { mode: 'tcp' }],
  ['hosts: [API.example.com, api.example.com, b]', { hosts: ['api.example.com', 'b'] }],
  ['hosts: api.example.com', { hosts: ['api.example.com'] }],
  [`tls: {certificate: ${pem}}`, { tls: [{ certificate: pem, key: null }] }],
  [
    `tls: [{certificate: ${pem}, key: /etc/tls/a.key}, {certificate: /b.pem}]`,
    {
      tls: [
        { certificate: pem, key: '/etc/tls/a.key' },
        { certificate: '/b.pem', key: null }
      ]
    }
  ],
  [`hosts: [a.test], tls: {certificate: ${pem}}`, { hosts: ['a.test'], tls: [{ certificate: pem }] }],
  [`mode: tcp, tls: {certificate: ${pem}}`, { mode: 'tcp', tls: [{ certificate: pem }] }],
  ['proxy_protocol: v2', { hasProxyProtocol: true }],
  ['keep: stopped', { keep: 'stopped' }],
  ['pooling: true', { isPooled: true }],
  ['pooling: false', { isPooled: false }]
]
for (const [keys, expected] of forms) {
  t.test(`reads ${keys}`, async (t) => t.match(published(keys).routing, expected))
}

t.test('reads a canary whose failed requests are compared', async (t) => {
  t.match(published('canary: 1, canary_max_error_ratio: 0.01').update, {
    order: 'start-first',
    canary: { unit: 'count', value: 1 },
    canaryMaxErrorRatio: 0.01
  })
})

t.test('allows replicas on one fixed port, a fixed name, and a service without ports', async (t) => {
  const deploy = 'deploy: {replicas: 3, update_config: {order: start-first}}'
  t.equal(read(deploy, 'ports: ["80:8888"]').replicas, 3)
  t.equal(read(startFirst, 'ports: ["80:8888"]', 'container_name: web').containerName, 'web')
  t.match(read(startFirst, 'x-longshore: {keep: stopped}').routing, { keep: 'stopped' })
  t.equal(read('x-longshore: {drain_timeout: 5s}').drainTimeoutMs, 5000)
})

const port = 'ports: ["80:8888"]'
type Mistake = [lines: string[], line: number, code: string, path: string, message: RegExp]
const mistakes: Mistake[] = [
  ...['mode: http', 'hosts: [a]', `tls: {certificate: ${pem}}`, 'proxy_protocol: v2', 'keep: running'].map(
    (key): Mistake => [
      [port, `x-longshore: {${key}}`],
      5,
      'conflict',
      `x-longshore.${key.split(':')[0]}`,
      /needs deploy.update_config.order: start-first/
    ]
  ),
  [['x-longshore: {pooling: false}'], 4, 'conflict', 'x-longshore.pooling', /start-first/],
  [
    ['x-longshore: {canary: 1, canary_max_error_ratio: 0}'],
    4,
    'conflict',
    'x-longshore.canary_max_error_ratio',
    /start-first/
  ],
  [
    [startFirst, port, 'x-longshore: {canary_max_error_ratio: 0}'],
    6,
    'missing-key',
    'x-longshore.canary_max_error_ratio',
    /needs canary/
  ],
  [[startFirst, 'ports: ["53:53/udp"]'], 5, 'conflict', 'ports', /UDP.*port 53.*stop-first/],
  [[startFirst, 'ports: [8888]'], 5, 'conflict', 'ports', /fixed host port.*HOST:8888/],
  [[startFirst, 'network_mode: host'], 5, 'conflict', 'network_mode', /network_mode host/],
  [[startFirst, 'network_mode: none'], 5, 'conflict', 'network_mode', /own address/],
  [[startFirst, 'network_mode: "container:db"'], 5, 'conflict', 'network_mode', /own address/],
  [[port, 'deploy: {replicas: 2}'], 4, 'conflict', 'ports', /2 replicas.*start-first/],
  [
    ['container_name: web', port, 'deploy: {replicas: 2, update_config: {order: start-first}}'],
    4,
    'conflict',
    'container_name',
    /one container name/
  ],
  [[startFirst, 'x-longshore: {hosts: [a]}'], 5, 'conflict', 'x-longshore.hosts', /publishes no port/],
  [
    [startFirst, port, 'x-longshore: {mode: tcp, hosts: [a]}'],
    6,
    'conflict',
    'x-longshore.hosts',
    /mode: http/
  ],
  [
    [startFirst, port, 'x-longshore: {mode: tcp, pooling: true}'],
    6,
    'conflict',
    'x-longshore.pooling',
    /mode: http/
  ],
  ...['a_b', '-a', 'a..b', '""', 'http://a', 'a b'].map(
    (name): Mistake => [
      [startFirst, port, `x-longshore: {hosts: ["${name.replaceAll('"', '')}"]}`],
      6,
      'invalid-value',
      'x-longshore.hosts[0]',
      /host name/
    ]
  ),
  [[startFirst, port, 'x-longshore: {hosts: ["a:80"]}'], 6, 'invalid-value', 'x-longshore.hosts[0]', /port/],
  [
    [startFirst, port, 'x-longshore: {hosts: ["*.a"]}'],
    6,
    'not-supported',
    'x-longshore.hosts[0]',
    /patterns/
  ],
  [
    [startFirst, port, 'x-longshore: {tls: {certificate: a.pem}}'],
    6,
    'relative-path',
    'x-longshore.tls.certificate',
    /absolute/
  ],
  [
    [startFirst, port, 'x-longshore: {tls: {certificate: "/a b"}}'],
    6,
    'invalid-value',
    'x-longshore.tls.certificate',
    /path of a file/
  ],
  [
    [startFirst, port, 'x-longshore: {tls: [{key: /a}]}'],
    6,
    'missing-key',
    'x-longshore.tls[0]',
    /certificate/
  ],
  [
    [startFirst, port, 'x-longshore: {tls: [{certificate: /a}, {certificate: /a, key: /b}]}'],
    6,
    'conflict',
    'x-longshore.tls[1]',
    /twice/
  ],
  [
    [startFirst, port, 'x-longshore: {proxy_protocol: v1}'],
    6,
    'invalid-value',
    'x-longshore.proxy_protocol',
    /v2/
  ],
  [[startFirst, port, 'x-longshore: {mode: udp}'], 6, 'invalid-value', 'x-longshore.mode', /http, tcp/]
]
for (const [lines, line, code, path, message] of mistakes) {
  t.test(`refuses ${lines.at(-1)} after ${lines.length - 1} lines (${path})`, async (t) => {
    const found = problemsOf(...lines)
    t.equal(found.length, 1)
    t.match(found[0], { file: 'f0.yaml', line, code, path: `services.api.${path}`, message })
  })
}

t.test('proposes the key that was meant', async (t) => {
  const nearest = (key: string) => problemsOf(startFirst, port, `x-longshore: {${key}: 1}`)[0]?.nearest
  t.equal(nearest('host'), 'hosts')
  t.equal(nearest('proxy-protokol'), 'proxy_protocol')
  t.equal(nearest('canary_max_error'), 'canary_max_error_ratio')
  t.equal(
    problemsOf(startFirst, port, 'x-longshore: {tls: {certificat: /a, certificate: /a}}')[0]?.nearest,
    'certificate'
  )
})

t.test('merges the keys of several files', async (t) => {
  const base = service(startFirst, port, 'x-longshore: {hosts: [a.test], tls: {certificate: /a.pem}}')
  const merged = (longshore: string) =>
    readAll(base, `services:\n  api:\n    x-longshore: {${longshore}}`).routing
  t.same(merged('hosts: [b.test, A.test]')?.hosts, ['a.test', 'b.test'])
  t.same(merged('hosts: b.test')?.hosts, ['a.test', 'b.test'])
  t.same(merged('tls: {key: /a.key}')?.tls, [{ certificate: '/a.pem', key: '/a.key' }])
  t.same(merged('tls: [{certificate: /b.pem}]')?.tls, [{ certificate: '/b.pem', key: null }])
  t.equal(merged('mode: tcp, hosts: !reset null')?.mode, 'tcp')
})
