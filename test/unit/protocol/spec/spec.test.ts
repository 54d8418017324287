import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import {
  diffSpecs,
  InterpolationError,
  interpolate,
  readServiceFiles,
  type ServiceSpec,
  SpecError,
  specHash,
  specProblems,
  supportedServiceKeys,
  supportedTopLevelKeys
} from '../../../../packages/protocol/src/spec/index.ts'

const root = new URL('../../../../', import.meta.url)

type Environment = Record<string, string | undefined>

const readAll = (texts: string[], environment: Environment = {}) =>
  readServiceFiles(
    texts.map((text, index) => ({ name: `f${String(index)}.yaml`, text })),
    { environment }
  )

const specOf = (texts: string[], environment: Environment = {}): ServiceSpec => {
  const [spec] = Object.values(readAll(texts, environment).services)
  if (spec === undefined) throw new Error('no service was read')
  return spec
}

/** One service with these lines below it, at line 3 of the file and on. */
const service = (...lines: string[]): string =>
  ['services:', '  api:', '    image: app', ...lines.map((line) => `    ${line}`)].join('\n')

const read = (...lines: string[]): ServiceSpec => specOf([service(...lines)])

const problemsOf = (work: () => unknown): SpecError['problems'] => {
  try {
    work()
  } catch (error) {
    if (error instanceof SpecError) return error.problems
    throw error
  }
  return []
}

const firstProblem = (...lines: string[]) => problemsOf(() => read(...lines))[0]

t.test("the old tool's options map one to one", async (t) => {
  const spec = specOf(
    [
      service(
        'ports: ["80:8888"]',
        'environment: {NODE_ENV: "${LONGSHORE_ENVIRONMENT}"}',
        'logging: {driver: syslog}',
        'restart: always'
      )
    ],
    { LONGSHORE_ENVIRONMENT: 'staging' }
  )
  t.same(spec.ports, [{ target: 8888, published: 80, hostIp: null, protocol: 'tcp' }])
  t.same(spec.environment, { NODE_ENV: 'staging' })
  t.same(spec.logging, { driver: 'syslog', options: {} })
  t.same(spec.restart, { name: 'always', maxRetries: 0 })
})

t.test('fills in every default', async (t) => {
  const spec = read()
  t.same(spec.update, {
    canary: null,
    parallelism: { unit: 'count', value: 1 },
    delayMs: 0,
    monitorMs: 10_000,
    order: 'stop-first',
    failureAction: 'rollback',
    maxFailureRatio: 0,
    canaryMaxErrorRatio: null
  })
  t.match(spec, {
    restart: { name: 'no' },
    replicas: 1,
    drainTimeoutMs: 30_000,
    routing: null,
    keepImages: 3,
    releaseCommand: null,
    stopGracePeriodMs: 10_000,
    pullPolicy: 'missing'
  })
})

const port = (published: number | null, target: number, hostIp: string | null = null, protocol = 'tcp') => ({
  target,
  published,
  hostIp,
  protocol
})

const forms: [line: string, expected: object][] = [
  [
    'image: localhost:5000/a/b:1.2',
    { image: { repository: 'localhost:5000/a/b', tag: '1.2', digest: null } }
  ],
  [`image: a@sha256:${'0'.repeat(64)}`, { image: { repository: 'a', tag: null } }],
  ['ports: [8888]', { ports: [port(null, 8888)] }],
  ['ports: ["127.0.0.1:80:8888/udp"]', { ports: [port(80, 8888, '127.0.0.1', 'udp')] }],
  ['ports: ["[::1]:80:8888"]', { ports: [port(80, 8888, '::1')] }],
  ['ports: ["127.0.0.1::8888"]', { ports: [port(null, 8888, '127.0.0.1')] }],
  ['ports: ["80-81:90-91"]', { ports: [port(80, 90), port(81, 91)] }],
  ['ports: [{target: 90, published: "80", protocol: udp}]', { ports: [port(80, 90, null, 'udp')] }],
  ['expose: [3000, "3001-3002/udp"]', { expose: ['3000/tcp', '3001/udp', '3002/udp'] }],
  ['command: sh -c "echo \'a b\'" x\\ y', { command: ['sh', '-c', "echo 'a b'", 'x y'] }],
  ['command: [a, "b c"]', { command: ['a', 'b c'] }],
  ['entrypoint: []', { entrypoint: [] }],
  ['environment: [A=1, B=x=y, C=]', { environment: { A: '1', B: 'x=y', C: '' } }],
  ['environment: {A: 1, B: true, C: "01"}', { environment: { A: '1', B: 'true', C: '01' } }],
  [
    'volumes: ["data:/d:ro"]',
    { volumes: [{ type: 'volume', source: 'data', target: '/d', isReadOnly: true }] }
  ],
  [
    'volumes: ["/a:/b:rshared,z"]',
    { volumes: [{ type: 'bind', source: '/a', createHostPath: true, propagation: 'rshared', selinux: 'z' }] }
  ],
  [
    'volumes: [{type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 01777}}]',
    { volumes: [{ type: 'tmpfs', source: null, tmpfsSizeBytes: 1048576, tmpfsMode: 0o1777 }] }
  ],
  ['tmpfs: /run:size=64m', { tmpfs: { '/run': 'size=64m' } }],
  ['restart: on-failure:3', { restart: { name: 'on-failure', maxRetries: 3 } }],
  [
    'healthcheck: {test: "exit 0", interval: 1m30s}',
    { healthcheck: { test: ['CMD-SHELL', 'exit 0'], intervalMs: 90_000 } }
  ],
  ['healthcheck: {disable: true}', { healthcheck: { test: ['NONE'] } }],
  [
    'ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}',
    { ulimits: { nofile: { soft: 1, hard: 2 }, nproc: { soft: 3, hard: 3 } } }
  ],
  ['extra_hosts: {db: 10.0.0.1}', { extraHosts: ['db:10.0.0.1'] }],
  ['extra_hosts: ["db=10.0.0.1"]', { extraHosts: ['db:10.0.0.1'] }],
  ['dns: 1.1.1.1', { dns: ['1.1.1.1'] }],
  ['networks: {front: {aliases: [a]}}', { networks: [{ name: 'front', aliases: ['a'] }] }],
  ['mem_limit: 1.5g', { memoryLimitBytes: 1_610_612_736 }],
  ['memswap_limit: -1', { memorySwapLimitBytes: -1 }],
  ['cpus: 0.5', { nanoCpus: 500_000_000 }],
  ['devices: ["/dev/a:/dev/b:r"]', { devices: [{ source: '/dev/a', target: '/dev/b', permissions: 'r' }] }],
  ['gpus: all', { gpus: 'all' }],
  ['deploy: {resources: {reservations: {devices: [{count: 2, capabilities: [gpu]}]}}}', { gpus: 2 }],
  [
    'deploy: {resources: {limits: {cpus: "2", memory: 1m, pids: 5}}}',
    { nanoCpus: 2e9, memoryLimitBytes: 1048576, pidsLimit: 5 }
  ],
  [
    'deploy: {update_config: {parallelism: 25%}}',
    { update: { parallelism: { unit: 'percent', value: 25 } } }
  ],
  [
    'deploy: {update_config: {parallelism: 0, delay: 5s}}',
    { update: { parallelism: { unit: 'count', value: 0 }, delayMs: 5000 } }
  ],
  [
    'deploy: {placement: {constraints: ["node.labels.role == web"]}}',
    { constraints: [{ label: 'role', operator: '==', value: 'web' }] }
  ],
  ['x-longshore: {probe: {tcp: {port: 90}}}', { probe: { type: 'tcp', port: 90 } }],
  [
    'x-longshore: {probe: {http: {port: 90, path: /h, status: 200-204}}}',
    { probe: { type: 'http', path: '/h', status: { from: 200, to: 204 } } }
  ],
  ['deploy: {update_config: {failure_action: pause}}', { update: { failureAction: 'pause' } }],
  [
    'x-longshore: {canary: 2}',
    { update: { canary: { unit: 'count', value: 2 }, parallelism: { unit: 'count', value: 1 } } }
  ],
  ['x-longshore: {canary: 10%}', { update: { canary: { unit: 'percent', value: 10 } } }],
  ['x-longshore: {canary: 0}', { update: { canary: null } }],
  [
    'x-longshore: {release_command: "bin/migrate --to \'the end\'"}',
    { releaseCommand: { command: ['bin/migrate', '--to', 'the end'], timeoutMs: 600_000 } }
  ],
  [
    'x-longshore: {release_command: {command: [migrate, up], timeout: 1m}}',
    { releaseCommand: { command: ['migrate', 'up'], timeoutMs: 60_000 } }
  ],
  ['user: 0755', { user: '0755' }],
  ['x-other: {anything: [1]}', { replicas: 1 }]
]

t.test('reads the short and the long form of each key', async (t) => {
  for (const [line, expected] of forms) {
    const text = line.startsWith('image') ? `services:\n  api:\n    ${line}` : service(line)
    t.match(specOf([text]), expected, line)
  }
})

const mistakes: [line: string, code: string, path: string, message: RegExp][] = [
  ['imge: x', 'unknown-key', 'imge', /imge/],
  ['secrets: [a]', 'not-supported', 'secrets', /not supported yet/],
  ['x-longshore: {cache: maybe}', 'wrong-type', 'x-longshore.cache', /true or false/],
  ['x-longshore: {secrets: [a]}', 'not-supported', 'x-longshore.secrets', /not supported yet/],
  ['x-longshore: {canary: some}', 'invalid-value', 'x-longshore.canary', /number of hosts/],
  ['x-longshore: {release_command: []}', 'invalid-value', 'x-longshore.release_command', /name of a program/],
  ['x-longshore: {release_command: {}}', 'missing-key', 'x-longshore.release_command', /needs a command/],
  [
    'x-longshore: {release_command: {command: a, timeout: 0}}',
    'invalid-value',
    'x-longshore.release_command.timeout',
    /longer than 0/
  ],
  ['deploy: {update_config: {order: other}}', 'invalid-value', 'deploy.update_config.order', /start-first/],
  [
    'deploy: {update_config: {failure_action: continue}}',
    'not-supported',
    'deploy.update_config.failure_action',
    /max_failure_ratio/
  ],
  ['volumes: ["./a:/b"]', 'relative-path', 'volumes[0]', /absolute/],
  ['volumes: [{type: bind, source: ~/a, target: /b}]', 'relative-path', 'volumes[0].source', /absolute/],
  ['ports: ["80-82:90-91"]', 'invalid-value', 'ports[0]', /differ in length/],
  ['ports: ["70000:90"]', 'invalid-value', 'ports[0]', /65535/],
  ['ports: {a: b}', 'wrong-type', 'ports', /expected a list/],
  ['command: "a \'b"', 'invalid-value', 'command', /not closed/],
  ['stop_grace_period: 10', 'invalid-value', 'stop_grace_period', /unit/],
  ['mem_limit: lots', 'invalid-value', 'mem_limit', /size/],
  ['network_mode: service:db', 'not-supported', 'network_mode', /by itself/],
  ['labels: {longshore.release: "1"}', 'invalid-value', 'labels', /reserved/],
  ['environment: {A: "${B:?set B}"}', 'variable-required', 'environment.A', /B is required: set B/],
  ['env_file: a.env', 'env-file-unreadable', 'env_file', /a\.env/],
  ['ulimits: {__proto__: 1}', 'invalid-value', 'ulimits.__proto__', /name of a limit/],
  ['x-longshore: {healthy_timeout: 0s}', 'invalid-value', 'x-longshore.healthy_timeout', /longer than 0/],
  [
    'deploy: {placement: {constraints: [node.role == x]}}',
    'not-supported',
    'deploy.placement.constraints[0]',
    /node.labels/
  ],
  [
    'deploy: {placement: {constraints: [web]}}',
    'invalid-value',
    'deploy.placement.constraints[0]',
    /expected node.labels/
  ],
  ['tty: maybe', 'wrong-type', 'tty', /true or false/]
]

t.test('names file, line, path and reason of each mistake', async (t) => {
  for (const [line, code, path, message] of mistakes) {
    const problem = firstProblem(line)
    t.match(problem, { file: 'f0.yaml', line: 4, code, path: `services.api.${path}` }, line)
    t.match(problem?.message, message, line)
  }
  t.equal(firstProblem('enviroment: {}')?.nearest, 'environment')
  t.equal(firstProblem('x-longshore: {drain-timeot: 1s}')?.nearest, 'drain_timeout')
  t.equal(firstProblem('x-longshore: {canery: 1}')?.nearest, 'canary')
  t.equal(firstProblem('x-longshore: {release-command: a}')?.nearest, 'release_command')
  t.equal(firstProblem('x-longshore: {release_command: {command: a, timout: 1m}}')?.nearest, 'timeout')
})

t.test('collects all problems of all files in their order', async (t) => {
  const problems = problemsOf(() =>
    readAll([service('tty: x', 'cpus: y'), 'services:\n  b: {imag: 1}\nfoo: 1'])
  )
  t.same(
    problems.map(({ file, line, path }) => `${file}:${String(line)} ${path}`),
    [
      'f0.yaml:4 services.api.tty',
      'f0.yaml:5 services.api.cpus',
      'f1.yaml:2 services.b',
      'f1.yaml:2 services.b.imag',
      'f1.yaml:3 foo'
    ]
  )
})

t.test('refuses keys that contradict each other', async (t) => {
  t.match(firstProblem('ports: ["80:90"]', 'deploy: {replicas: 2}'), { code: 'conflict', line: 4 })
  t.match(firstProblem('mem_limit: 1m', 'deploy: {resources: {limits: {memory: 2m}}}'), { code: 'conflict' })
  t.match(firstProblem('networks: [a]', 'network_mode: host'), { code: 'conflict' })
  t.equal(read('ports: ["90"]', 'deploy: {replicas: 2}').replicas, 2)
})

t.test('merges files by the rules of Compose', async (t) => {
  const merged = (base: string, next: string): ServiceSpec =>
    specOf([service(base), `services:\n  api:\n    ${next}`])
  t.same(merged('command: a b', 'command: [c]').command, ['c'])
  t.same(merged('environment: {A: 1, B: 2}', 'environment: [B=3]').environment, { A: '1', B: '3' })
  t.same(merged('ports: ["80:90"]', 'ports: ["80:90", "81:91"]').ports, [port(80, 90), port(81, 91)])
  t.same(merged('dns: 1.1.1.1', 'dns: [2.2.2.2]').dns, ['1.1.1.1', '2.2.2.2'])
  t.match(merged('volumes: ["a:/d"]', 'volumes: ["b:/d"]').volumes, [{ source: 'b' }])
  t.same(merged('ports: ["80:90"]', 'ports: !reset []').ports, [])
  t.same(merged('ports: ["80:90"]', 'ports: !override ["81:90"]').ports, [port(81, 90)])
  t.same(merged('environment: {A: 1, B: 2}', 'environment: {A: !reset null}').environment, { B: '2' })
  t.same(merged('logging: {driver: syslog, options: {a: b}}', 'logging: {driver: none}').logging, {
    driver: 'none',
    options: {}
  })
  t.same(merged('healthcheck: {test: a, retries: 2}', 'healthcheck: {test: [CMD, b]}').healthcheck, {
    test: ['CMD', 'b'],
    retries: 2
  })
})

t.test('resolves anchors and merge keys, and bounds aliases', async (t) => {
  const text =
    'x-base: &base {image: app, tty: true}\nservices:\n  api:\n    <<: *base\n    tty: false\n  web: *base'
  const { services } = readAll([text])
  t.match(
    Object.values(services).map((one) => one.tty),
    [false, true]
  )
  const bomb = [
    'a0: &a0 [x,x,x,x,x,x,x,x,x]',
    ...Array.from(
      { length: 9 },
      (_, i) =>
        `a${String(i + 1)}: &a${String(i + 1)} [${Array(9)
          .fill(`*a${String(i)}`)
          .join()}]`
    )
  ]
  t.equal(problemsOf(() => readAll([bomb.join('\n')]))[0]?.code, 'too-complex')
  t.match(
    problemsOf(() => readAll(['x-a: 1\nx-b: 2\nx-a: 3'])),
    [{ code: 'yaml-invalid', line: 3, message: /twice/ }]
  )
  t.match(
    problemsOf(() => readAll(['x-a: *b'])),
    [{ code: 'yaml-invalid', message: /no anchor/ }]
  )
  t.equal(problemsOf(() => readAll(['['.repeat(100_000)]))[0]?.file, 'f0.yaml')
  t.equal(problemsOf(() => readAll(['#'.repeat(600_000)]))[0]?.code, 'file-too-large')
  t.match(
    problemsOf(() => readAll(['a: 1\nb: [1'])),
    [{ code: 'yaml-invalid', line: 2 }]
  )
})

t.test('takes variables from env_file, environment and the place of apply', async (t) => {
  const text = service(
    'env_file: [a.env, {path: no.env, required: false}]',
    'environment: [B=own, FROM, GONE]'
  )
  const env = '# comment\nexport A="x ${FROM}"\nB=file # tail\nC=\'$raw\'\n'
  const readEnvFile = (path: string, fromFile: string): string => {
    t.equal(fromFile, 'x.yaml')
    if (path !== 'a.env') throw new Error('no such file')
    return env
  }
  const { services, notices } = readServiceFiles([{ name: 'x.yaml', text }], {
    environment: { FROM: 'f' },
    readEnvFile
  })
  t.same(Object.values(services)[0]?.environment, { A: 'x f', B: 'own', C: '$raw', FROM: 'f' })
  t.match(notices.join(), /GONE is not set/)
})

t.test('reads a raw env_file as docker run does', async (t) => {
  const text = service('env_file: [{path: a.env, format: raw}]')
  const environmentOf = (env: string) => {
    const options = { environment: { FROM: 'f' }, readEnvFile: () => env }
    return Object.values(readServiceFiles([{ name: 'x.yaml', text }], options).services)[0]?.environment
  }
  t.same(
    environmentOf(
      '\uFEFFA="x $FROM" \r\n# comment\n\t # comment\n  B= b\n\nFROM\nGONE\nC=\nD=a=b # no comment\nexport.E=1\n'
    ),
    { A: '"x $FROM" ', B: ' b', FROM: 'f', C: '', D: 'a=b # no comment', 'export.E': '1' }
  )
  for (const [env, reason] of [
    ['A=1\n=x', /a\.env: line 2 has no name before the =/],
    ['A B=1', /a\.env: line 1 has a blank in its name/],
    ['A =1', /blank/],
    ['FROM ', /blank/]
  ] as const)
    t.match(
      problemsOf(() => environmentOf(env)),
      [{ code: 'env-file-unreadable', message: reason }],
      env
    )
})

t.test('says once what only docker compose uses', async (t) => {
  const text = `version: "3"\n${service('build: .', 'depends_on: [b]')}\n  b: {image: b, build: .}`
  t.same(
    readAll([text]).notices.sort(),
    ['build', 'depends_on', 'version'].map((key) => `${key} is used by docker compose only`)
  )
})

const interpolations: [text: string, expected: string][] = [
  ['$A-$B', '1-'],
  ['${A}x', '1x'],
  ['$$A', '$A'],
  ['${B:-d}', 'd'],
  ['${B-d}', ''],
  ['${N-d}', 'd'],
  ['${A:+yes}${B:+no}${B+set}${N+no}', 'yesset'],
  ['${N:-${M:-${A}}}', '1'],
  ['${A:?needed}', '1']
]

t.test('interpolates by the rules of Compose', async (t) => {
  for (const [text, expected] of interpolations) t.equal(interpolate(text, { A: '1', B: '' }), expected, text)
  for (const text of ['$', '${', '${}', '${A', '$1', '${A*}', '${N?}', '${B:?}']) {
    t.throws(() => interpolate(text, { A: '1', B: '' }), InterpolationError, text)
  }
})

t.test('properties hold for any text', async (t) => {
  const piece = fc.constantFrom(
    'services:',
    '\n',
    '  ',
    'api:',
    'image: ',
    '&a ',
    '*a',
    '<<: ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    '${',
    '!reset ',
    'ports: ',
    'deploy: ',
    '1',
    ': '
  )
  const text = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''))
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(text, (one) => Array.isArray(problemsOf(() => readAll([one])))),
      { numRuns: 300 }
    )
  )
  t.doesNotThrow(() =>
    fc.assert(fc.property(fc.string(), (one) => interpolate(one.replaceAll('$', '$$$$'), {}) === one))
  )
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.subarray(
          forms.map(([line]) => line).filter((line) => !line.startsWith('image')),
          { maxLength: 1 }
        ),
        (lines) => {
          const once = readAll([service(...lines)]).services
          return (
            JSON.stringify(readAll([service(...lines), service(...lines)]).services) === JSON.stringify(once)
          )
        }
      )
    )
  )
})

t.test('shows differences in a stable order and hashes by content', async (t) => {
  const before = read('environment: {A: 1, B: 2}')
  const after = read('environment: {B: 3, A: 1}', 'tty: true')
  t.same(diffSpecs(before, after), [
    { path: 'environment.B', before: '2', after: '3' },
    { path: 'tty', before: false, after: true }
  ])
  t.equal(await specHash(before), await specHash(read('environment: {B: 2, A: 1}')))
  t.not(await specHash(before), await specHash(after))
})

t.test('the documentation and the reader know the same keys and problems', async (t) => {
  const page = readFileSync(new URL('docs/service-file.md', root), 'utf8')
  const rows = (heading: string): string[] => {
    const section = page.split(`## ${heading}\n`)[1]?.split('\n## ')[0] ?? ''
    return [...section.matchAll(/^\| `([^`]+)` \|/gm)].map((match) => match[1] ?? '').sort()
  }
  t.same(rows('Keys of a service'), [...supportedServiceKeys].sort())
  t.same(rows('Keys at the top level'), [...supportedTopLevelKeys].sort())
  t.same(rows('What can be wrong'), Object.keys(specProblems).sort())
})

t.test('the example is a valid service file', async (t) => {
  const text = readFileSync(new URL('deploy/examples/api.yaml', root), 'utf8')
  const { services, notices } = readServiceFiles([{ name: 'api.yaml', text }], { environment: {} })
  t.match(Object.values(services), [{ environment: { NODE_ENV: 'development' }, probe: { port: 8888 } }])
  t.same(notices, [])
})
