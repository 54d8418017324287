// docker run command lines -> service files: words, options, what is left out, and what is refused. Every file that is
// printed is read back by the reader that `apply` uses.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { CliError } from '../../../packages/controller/src/cli/cli-errors.ts'
import { findOption, optionNames } from '../../../packages/controller/src/cli/import/docker-options.ts'
import { readDockerRun } from '../../../packages/controller/src/cli/import/read-docker-run.ts'
import { renderImport } from '../../../packages/controller/src/cli/import/render-import.ts'
import { splitShell } from '../../../packages/controller/src/cli/import/split-shell.ts'
import { readServiceFiles, type ServiceSpec } from '../../../packages/protocol/src/spec/index.ts'
import { runCommandOf } from '../../support/cli-unit.ts'
import { dockerRunLines } from '../../support/docker-run-lines.ts'

const read = (file: string, environment: Record<string, string> = {}) =>
  readServiceFiles([{ name: 'f', text: file }], { environment, readEnvFile: () => '' })
/** @param options between `docker run` and the image */
const importOf = (options: string, image = 'nginx:1') =>
  renderImport(readDockerRun(splitShell(`docker run ${options} ${image}`)), {})
const specOf = (options: string, image?: string): ServiceSpec => {
  const [spec] = Object.values(read(importOf(options, image).file).services)
  if (spec === undefined) throw new Error('no service')
  return spec
}
const refusalOf = (of: () => unknown): string => {
  try {
    of()
  } catch (error) {
    if (error instanceof CliError && error.code === 'usage') return [error.message, ...error.hints].join('\n')
    throw error
  }
  return ''
}

const wordTable: [text: string, words: string[]][] = [
  ['a  b\tc', ['a', 'b', 'c']],
  [`a 'b c' "d e" f\\ g`, ['a', 'b c', 'd e', 'f g']],
  [`'' "" a''b`, ['', '', 'ab']],
  [`"a\\"b\\\\c\\d" 'a\\b'`, ['a"b\\c\\d', 'a\\b']],
  ['a \\\n  b \\\r\n c', ['a', 'b', 'c']],
  ['"a\\\nb" a\\\nb', ['ab', 'ab']],
  ['\n# first\n a # b\n\n# end', ['a']],
  ['a#b "#c"', ['a#b', '#c']],
  [`$A "\${B}" '$C' \\$D`, [`\${A}`, `\${B}`, '$$C', '$$D']],
  [`\${A:-x} "\${B?no}" \${C+y}z`, [`\${A:-x}`, `\${B?no}`, `\${C+y}z`]],
  ['a$ "$" $/', ['a$$', '$$', '$$/']],
  ['~ ~/a a~/b "~/c"', [`\${HOME}`, `\${HOME}/a`, 'a~/b', '~/c']],
  ['{a,b} * [c]', ['{a,b}', '*', '[c]']]
]

t.test('words are told apart as a POSIX shell does it', async (t) => {
  for (const [text, words] of wordTable) t.same(splitShell(text), words, text)
  const refused: [string, RegExp][] = [
    [`a 'b`, /quote/],
    ['a "b', /quote/],
    ['a\\', /backslash at the end/],
    ['a \\ \n b', /blank after the backslash/],
    ['a\nb', /another command begins: b/],
    ['a; b', /;/],
    ['a && b', /&/],
    ['a > b', />/],
    ['a $(b)', /\$\(\.\.\.\)/],
    ['a "`b`"', /`\.\.\.`/],
    ['a $1', /\$1/],
    ['a $$', /\$\$/],
    ["a $'b'", /no quoting/],
    [`a \${b%c}`, /more in it than a name/],
    [`a \${b:=c}`, /more in it than a name/],
    [`a "\${b:-$c}"`, /more in it than a name/]
  ]
  for (const [text, reason] of refused)
    t.match(
      refusalOf(() => splitShell(text)),
      reason,
      text
    )
})

const port = (published: number | null, target: number, protocol = 'tcp', hostIp: string | null = null) => ({
  published,
  target,
  protocol,
  hostIp
})

/** Options, and what of the spec they decide. */
const optionTable: [options: string, spec: Partial<Record<keyof ServiceSpec, unknown>>][] = [
  ['-p 80:8888', { ports: [port(80, 8888)] }],
  ['-p80:8888 -p=81:81/udp', { ports: [port(80, 8888), port(81, 81, 'udp')] }],
  ['--publish 127.0.0.1:80:8888', { ports: [port(80, 8888, 'tcp', '127.0.0.1')] }],
  ['-p [::1]:80:81', { ports: [port(80, 81, 'tcp', '::1')] }],
  [
    '-p 8888 -p 10.0.0.1::99 -p :77',
    { ports: [port(null, 8888), port(null, 99, 'tcp', '10.0.0.1'), port(null, 77)] }
  ],
  ['-p :80:81', { ports: [port(80, 81)] }],
  ['-p 90-91:80-81', { ports: [port(90, 80), port(91, 81)] }],
  ['-p published=80,target=81,protocol=udp', { ports: [port(80, 81, 'udp')] }],
  ['--expose 70-71 -P', { ports: [port(null, 70), port(null, 71)], expose: ['70/tcp', '71/tcp'] }],
  ['-e A=1 --env=B= -e "C=a=b"', { environment: { A: '1', B: '', C: 'a=b' } }],
  [`-e 'A=$X' -e toString=x`, { environment: { A: '$X', toString: 'x' } }],
  ['-l a -l b=c --label d=', { labels: { a: '', b: 'c', d: '' } }],
  ['--annotation a=b --sysctl net.x=1', { annotations: { a: 'b' }, sysctls: { 'net.x': '1' } }],
  ['--name Web.App', { containerName: 'Web.App' }],
  ['--name /web', { containerName: 'web' }],
  ['--restart always', { restart: { name: 'always', maxRetries: 0 } }],
  ['--restart=on-failure:3', { restart: { name: 'on-failure', maxRetries: 3 } }],
  ['--restart no', { restart: { name: 'no', maxRetries: 0 } }],
  [
    '--log-driver=syslog --log-opt tag={{.Name}}',
    { logging: { driver: 'syslog', options: { tag: '{{.Name}}' } } }
  ],
  ['--log-opt max-size=1m', { logging: { driver: '', options: { 'max-size': '1m' } } }],
  ['-v data:/d:ro', { volumes: [{ type: 'volume', source: 'data', target: '/d', isReadOnly: true }] }],
  ['-v /d', { volumes: [{ type: 'volume', source: null, target: '/d' }] }],
  [
    '-v /a:/b:rslave,ro,cached',
    {
      volumes: [{ type: 'bind', source: '/a', propagation: 'rslave', isReadOnly: true, createHostPath: true }]
    }
  ],
  [
    '--mount type=bind,src=/a,dst=/b,readonly,bind-propagation=rshared',
    {
      volumes: [
        { type: 'bind', source: '/a', isReadOnly: true, propagation: 'rshared', createHostPath: false }
      ]
    }
  ],
  [
    '--mount type=bind,src=/a,dst=/b,readonly=F',
    { volumes: [{ type: 'bind', source: '/a', isReadOnly: false, createHostPath: false }] }
  ],
  [
    '--mount source=v,destination=/b,volume-nocopy,ro=false',
    { volumes: [{ type: 'volume', source: 'v', isReadOnly: false, noCopy: true }] }
  ],
  [
    '--mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777',
    { volumes: [{ type: 'tmpfs', tmpfsSizeBytes: 1048576, tmpfsMode: 0o1777 }] }
  ],
  ['--tmpfs /run:size=1m --tmpfs /tmp', { tmpfs: { '/run': 'size=1m', '/tmp': '' } }],
  ['--entrypoint sh', { entrypoint: ['sh'], command: null }],
  ['--entrypoint ""', { entrypoint: [] }],
  [
    '--health-cmd "a || b" --health-interval 5s --health-retries 2',
    { healthcheck: { test: ['CMD-SHELL', 'a || b'], intervalMs: 5000, retries: 2 } }
  ],
  [
    '--health-timeout=1m30s --health-start-period 500ms',
    { healthcheck: { test: null, timeoutMs: 90_000, startPeriodMs: 500 } }
  ],
  ['--health-cmd ""', { healthcheck: null }],
  ['--no-healthcheck', { healthcheck: { test: ['NONE'] } }],
  [
    '-m 512m --memory-reservation 1GiB --memory-swap -1',
    { memoryLimitBytes: 2 ** 29, memoryReservationBytes: 2 ** 30, memorySwapLimitBytes: -1 }
  ],
  ['--cpus 1.5 --pids-limit -1 --oom-score-adj=-500', { nanoCpus: 1.5e9, pidsLimit: -1, oomScoreAdj: -500 }],
  [
    '--shm-size=1g --stop-signal SIGINT --stop-timeout 90',
    { shmSizeBytes: 2 ** 30, stopSignal: 'SIGINT', stopGracePeriodMs: 90_000 }
  ],
  [
    '--ulimit nofile=1024:2048 --ulimit core=-1',
    { ulimits: { nofile: { soft: 1024, hard: 2048 }, core: { soft: -1, hard: -1 } } }
  ],
  [
    '--device /dev/a --device=/dev/b:/dev/c:r',
    {
      devices: [
        { source: '/dev/a', permissions: 'rwm' },
        { target: '/dev/c', permissions: 'r' }
      ]
    }
  ],
  ['--gpus all', { gpus: 'all' }],
  ['--gpus 2', { gpus: 2 }],
  [`--gpus '"device=0,1"'`, { gpus: ['0', '1'] }],
  [
    '--net host --pid=host --ipc host --userns host',
    { networkMode: 'host', pid: 'host', ipc: 'host', usernsMode: 'host' }
  ],
  ['--network none', { networkMode: 'none' }],
  ['--network default', { networkMode: null, networks: [] }],
  ['--network my.net --network-alias a', { networks: [{ name: 'my.net', aliases: ['a'] }] }],
  [
    '--network name=a,alias=x,alias=y --network b',
    { networks: [{ name: 'a', aliases: ['x', 'y'] }, { name: 'b' }] }
  ],
  [
    '--add-host a:1.2.3.4 --dns 1.1.1.1 --dns-search x --dns-opt ndots:1',
    { extraHosts: ['a:1.2.3.4'], dns: ['1.1.1.1'], dnsSearch: ['x'], dnsOptions: ['ndots:1'] }
  ],
  [
    '-u 0123:7 -w /w -h web --domainname d --group-add 9',
    { user: '0123:7', workingDir: '/w', hostname: 'web', domainName: 'd', groupAdd: ['9'] }
  ],
  [
    '--cap-add A --cap-add B --cap-drop ALL --privileged --read-only',
    { capAdd: ['A', 'B'], capDrop: ['ALL'], isPrivileged: true, isReadOnly: true }
  ],
  [
    '--security-opt seccomp=unconfined --security-opt label:disable',
    { securityOpt: ['seccomp=unconfined', 'label:disable'] }
  ],
  ['--init --runtime runsc --cgroup-parent /x', { init: true, runtime: 'runsc', cgroupParent: '/x' }],
  ['--init=false --privileged=false --tty=0', { init: false, isPrivileged: false, tty: false }],
  ['-dit', { tty: true, stdinOpen: true }],
  ['-itp 80:80', { tty: true, stdinOpen: true, ports: [port(80, 80)] }],
  ['--pull always --platform linux/arm/v7', { pullPolicy: 'always', platform: 'linux/arm/v7' }]
]

t.test('options become keys of the service', async (t) => {
  for (const [options, spec] of optionTable) {
    t.match(specOf(options), spec, options)
    t.match(importOf(options).file, /^(# left out: --publish-all.*\n)?services:/, options)
  }
  t.match(specOf('', `app sh -c 'echo $X; "y"' -d --name=x`), {
    image: { repository: 'app', tag: null },
    command: ['sh', '-c', 'echo $X; "y"', '-d', '--name=x']
  })
  t.match(importOf('--env-file a.env').file, /env_file:\n {6}- path: a.env\n {8}format: raw\n/)
  const once = specOf('--restart no --restart always -e A=1 -e A=2')
  t.match(once, { restart: { name: 'always' }, environment: { A: '2' } }, 'later ones win')
})

/** Options that have no equivalent, and a word of what is said about them. */
const leftOutTable: [options: string, advice: RegExp][] = [
  ['-p 80:80/sctp', /tcp or udp/],
  ['-p 8000-8010:80', /one port of the host/],
  ['-v ./a:/b', /absolute path/],
  ['-v ~/a:/b', /absolute path/],
  ['-v $PWD/a:/b', /absolute path/],
  ['--mount type=bind,src=a/b,dst=/c', /absolute path/],
  ['--mount type=image,src=a,dst=/c', /bind, volume or tmpfs/],
  ['--mount type=volume,src=a,dst=/c,volume-opt=o=1', /as they are/],
  ['--volume-driver nfs -v a:/b', /as they are/],
  ['--network host -p 80:80', /no effect/],
  ['--link db', /network/],
  ['--volumes-from a', /volumes/],
  ['--security-opt seccomp=p.json', /profile/],
  ['--label longshore.service=x', /taken/],
  ['--cpu-shares 5', /cpus/],
  ['-c 5', /cpus/],
  ['--device vendor.com/gpu=0', /path/],
  ['-P', /ports/],
  ['--stop-timeout -1', /stop_grace_period/],
  ['--oom-kill-disable', /oom_score_adj/]
]

t.test('what a service file has no word for is named, on stderr and in the file', async (t) => {
  for (const [options, advice] of leftOutTable) {
    const { file, notices } = importOf(options)
    const [said] = notices.filter((line) => line.startsWith('no equivalent: '))
    t.match(said, advice, options)
    t.ok(file.startsWith(`# left out: ${said?.slice('no equivalent: '.length) ?? '-'}\n`), options)
    read(file)
  }
  const { notices } = importOf(
    '-v a:/b:cached -d --rm -a stdout --sig-proxy=false --cidfile x --detach-keys=a -q'
  )
  t.match(
    notices[0],
    'without meaning for a service: --volume ...:cached, --detach, --rm, --attach, --sig-proxy, --cidfile, --detach-keys, --quiet'
  )
})

t.test('no option is dropped without a word', async (t) => {
  const samples = [
    '1',
    '/a:/b',
    'a=b',
    '1s',
    '/dev/x',
    'linux/amd64',
    'always',
    'nofile=1',
    'host',
    'x',
    '80:80',
    '1.1.1.1'
  ]
  for (const name of optionNames) {
    const isFlag = findOption(name)?.option.isFlag === true
    const values = isFlag ? [''] : [...samples, 'src=v,dst=/x'].map((value) => `=${value}`)
    const before = name === 'network-alias' ? '--network n' : ''
    const isTold = values.some((value) => {
      const options = `${before} --${name}${value}`
      if (refusalOf(() => importOf(options)) !== '') return false
      const { file, notices } = importOf(options)
      return file !== importOf(before).file || notices.some((notice) => notice.includes(`--${name}`))
    })
    t.ok(isTold, name)
  }
})

t.test('what docker run would refuse is refused, with the option in front', async (t) => {
  const refused: [options: string, reason: RegExp][] = [
    ['--nme x', /no option --nme\ndid you mean --name\?/],
    ['-z', /no option -z/],
    ['-p 80:99999', /--publish 80:99999: a port is from 1 to 65535/],
    ['--restart sometimes', /--restart sometimes: expected no/],
    ['--restart sometimes --cpus x', /--restart sometimes.*\n--cpus x/],
    ['--privileged=maybe', /true or false/],
    ['--log-opt x', /--log-opt x: expected NAME=VALUE/],
    ['--mount type=bind,src=/a', /needs a target/],
    ['--mount type=bind,src=/a,dst=/b,nonsense=1', /no field of a mount/],
    ['--mount type=bind,src=/a,dst=/b,readonly=maybe', /readonly is true or false/],
    ['--network-alias a', /one network/],
    ['--network a --network host', /exclude each other/],
    ['-p 80:80 -p 80:81', /published twice/],
    ['-e $X=1', /must be known/],
    ['--name $X', /must be known/],
    ['--ulimit nofile=x', /--ulimit nofile=x: expected a whole number/],
    ['--ulimit nofile=2:1', /--ulimit nofile=2:1: .* above the hard/],
    ['--ulimit $X', /must be known/],
    ['--sysctl net.x', /--sysctl net\.x: expected NAME=VALUE/],
    ['--dns 1.1.1.1,8.8.8.8', /--dns 1\.1\.1\.1,8\.8\.8\.8: expected an IP address/]
  ]
  for (const [options, reason] of refused)
    t.match(
      refusalOf(() => importOf(options)),
      reason,
      options
    )
  for (const line of [
    '',
    'docker ps',
    'podman run x',
    'docker run',
    'docker run -d',
    'docker run --name',
    'docker run Up/per',
    `docker run sha256:${'0'.repeat(64)}`
  ])
    t.not(
      refusalOf(() => renderImport(readDockerRun(splitShell(line)), {})),
      '',
      line
    )
  t.notMatch(
    refusalOf(() => importOf('-e TOKEN=secret --cpus x -e "A B=secret"')),
    /secret/
  )
  t.notMatch(
    refusalOf(() => importOf('-zeTOKEN=secret')),
    /secret/
  )
  const long = refusalOf(() => readDockerRun(['x'.repeat(100_000)]))
  t.ok(long.length < 300, 'what is no command at all is not printed as a whole')
})

t.test('variables stay, and are filled in where the file is applied', async (t) => {
  const { file, notices } = importOf(`-p $PORT:80 -e A=$B -e 'C=$D' -v $DATA:/d`, `web:\${TAG:-1}`)
  t.match(
    notices.find((line) => line.startsWith('variables')),
    /variables: TAG, PORT, B, DATA:/
  )
  const { web } = read(file, { PORT: '8', B: 'b', DATA: '/x' }).services as Record<string, ServiceSpec>
  t.match(web, {
    image: { tag: '1' },
    ports: [{ published: 8 }],
    environment: { A: 'b', C: '$D' },
    volumes: [{ type: 'bind', source: '/x' }]
  })
})

t.test('a service whose image is a variable gets a name all the same, and doubts are said', async (t) => {
  const nameAndDoubt = (image: string): [string, boolean] => {
    const { file, notices } = importOf('', image)
    const doubt = notices.find((line) => line.startsWith('image: '))
    return [
      Object.keys(read(file, { IMAGE: 'a', OPTS: 'b', APP: 'c', TAG: '1' }).services).join(),
      doubt !== undefined
    ]
  }
  t.same(nameAndDoubt('$IMAGE'), ['image', false])
  t.same(nameAndDoubt(`registry.example.com/\${APP}:$TAG`), ['app', false])
  t.same(nameAndDoubt(`\${IMAGE:-nginx}`), ['image', false])
  t.same(nameAndDoubt('$OPTS nginx'), ['opts', true], 'they may be options')
  t.same(Object.keys(read(importOf('--name web-').file).services), ['web'])
})

t.test(
  'the command reads one argument, several words, or standard input, and says what to do next',
  async (t) => {
    const line = 'docker run -d --name web -p 80:8888 registry.example.com/web:1.2.3'
    const quoted = await runCommandOf({}, ['import', 'docker-run', line])
    const words = await runCommandOf({}, ['import', 'docker-run', '--', ...line.split(' ')])
    const piped = await runCommandOf({}, ['import', 'docker-run', '-'], {
      readStdin: async () => `# web\n${line}\n`
    })
    t.same(words, quoted)
    t.same(piped, quoted)
    t.match(quoted.err, /then: longshore deploy web --env ENVIRONMENT --tag 1\.2\.3 --replace web\n$/)
    const literal = await runCommandOf({}, [
      'import',
      'docker-run',
      '--',
      'docker',
      'run',
      'nginx',
      'echo $X'
    ])
    t.match(Object.values(read(literal.out).services)[0]?.command, ['echo $X'])
    for (const prefix of ['sudo ', '$ ', '/usr/bin/'])
      t.same((await runCommandOf({}, ['import', 'docker-run', prefix + line])).out, quoted.out, prefix)
    const container = line.replace('docker run', 'docker container run')
    t.same((await runCommandOf({}, ['import', 'docker-run', container])).out, quoted.out)
    await t.rejects(runCommandOf({}, ['import', 'docker-run']), /which command/)
    t.match(
      importOf('', `team/App:1`.toLowerCase()).notices.at(-1),
      /deploy app --env ENVIRONMENT --tag 1 --replace CONTAINER$/
    )
    t.match(importOf('', `a@sha256:${'0'.repeat(64)}`).notices.at(-1), /--digest sha256:0+ /)
  }
)

t.test('docs/migration.md shows what the command prints', async (t) => {
  const page = readFileSync(new URL('../../../docs/migration.md', import.meta.url), 'utf8')
  const line = /import docker-run "(.*?)" > web\.yaml/s.exec(page)?.[1]
  const shown = /```yaml\n(.*?)```/s.exec(page)?.[1]
  t.equal((await runCommandOf({}, ['import', 'docker-run', line ?? ''])).out, shown)
})

t.test('lines of twenty projects are read, and every file that is printed is valid', async (t: Test) => {
  const lines = dockerRunLines({ folder: '/srv', syslog: 'udp://127.0.0.1:514' })
  t.equal(lines.length, 21)
  for (const { service, line } of lines)
    t.same(Object.keys(read(renderImport(readDockerRun(splitShell(line)), {}).file).services), [service])
  const value = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom(
      '80:80',
      'a=b',
      '/a:/b',
      'v:/b:ro',
      'type=tmpfs,dst=/x',
      'all',
      '1s',
      'host',
      'x:1.2.3.4',
      '{"a": 1}'
    )
  )
  const pair = fc.tuple(fc.constantFrom(...optionNames), value)
  fc.assert(
    fc.property(
      fc.array(pair, { maxLength: 6 }),
      fc.array(fc.string(), { maxLength: 3 }),
      (options, command) => {
        const words = [
          'docker',
          'run',
          ...options.map(([name, text]) =>
            findOption(name)?.option.isFlag ? `--${name}` : `--${name}=${text}`
          ),
          'nginx',
          ...command
        ].map((word) => word.replaceAll('$', '$$$$'))
        const refusal = refusalOf(() => {
          const specs = Object.values(read(renderImport(readDockerRun(words), {}).file).services)
          if (command.length > 0) t.same(specs[0]?.command, command)
        })
        return refusal === '' || refusal.length > 10
      }
    ),
    { numRuns: 500 }
  )
})
