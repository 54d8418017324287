// The Chef cookbook without Chef: its files are sound, what it documents is what it has, and what it writes is what the
// agent reads. A stand-in converges it on a bare machine; with an engine and a controller: test/e2e/fleet-returns.test.ts.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { createPolicySource } from '../../packages/agent/src/adapters/policy-file.ts'
import { readInvocation } from '../../packages/agent/src/settings.ts'
import { collectCommand, runCommand } from '../../scripts/hosts/run-command.ts'
import {
  bootMachine,
  cookbook,
  type Declared,
  type Machine,
  type Node,
  runCookbook
} from '../support/chef/machine.ts'
import { makeTestFolder, testOnRealParts } from '../support/real-parts.ts'

const readme = readFileSync(join(cookbook, 'README.md'), 'utf8')
const rubyFiles = readdirSync(cookbook, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.rb')
)
const documentedBelow = (heading: string): string[] => {
  const section = readme.split('\n## ').find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name = '']) => name)
}

/** A token that says this environment; only the controller looks at its signature. */
const tokenFor = (environment: string): string =>
  `${btoa('{}')}.${Buffer.from(JSON.stringify({ environment })).toString('base64url')}.c2lnbmF0dXJl`
const url = 'https://longshore.example.com'
const agent = (more: Record<string, unknown> = {}): Node => ({
  attributes: {
    longshore: { agent: { controller_url: url, join_token: tokenFor('test'), enrol_timeout: 0, ...more } }
  }
})
const register = (machine: Machine): Promise<string> =>
  machine.run('sh', '-c', 'mkdir -p /var/lib/longshore-agent; touch /var/lib/longshore-agent/identity.json')
const find = (declared: Declared[], type: string, name: string): Declared | undefined =>
  declared.find((one) => one.type === type && one.name === name)

testOnRealParts(t, 'every file is Ruby of Chef Infra 16, and as the style wants it', async (t) => {
  const checked = await collectCommand('ruby', ['-wc', ...rubyFiles.map((file) => join(cookbook, file))])
  t.equal(checked.exitCode, 0, checked.stderr)
  const styled = await collectCommand('rubocop', ['--cache', 'false', '--format', 'emacs', cookbook])
  t.equal(styled.exitCode, 0, styled.stdout + styled.stderr)
})

testOnRealParts(t, 'properties and attributes are those of the documentation', async (t) => {
  const machine = await bootMachine(t)
  const output = await machine.run(
    'sh',
    '-c',
    `echo '{"describe":true}' | ruby ${runCookbook} ${cookbook} | head -1`
  )
  const { properties, actions, words, attributes } = JSON.parse(output)
  t.same(documentedBelow('Properties of longshore_agent'), Object.keys(properties))
  t.same(documentedBelow('Actions of longshore_agent'), actions)
  t.same(Object.keys(attributes.agent), Object.keys(properties), 'the recipe can set every property')
  t.same(documentedBelow('Attributes of the recipe controller'), Object.keys(attributes.controller))
  t.match(words, { provides: 'longshore_agent', unified_mode: true })
  t.match(properties.join_token, { sensitive: 'true' })
  for (const [name, { description }] of Object.entries<{ description: string }>(properties))
    t.match(description, /^[A-Z].*\.$/, `${name} is described`)
})

t.test('units are those of deploy/systemd', async (t) => {
  const folder = makeTestFolder(t)
  await runCommand('sh', ['deploy/chef/copy-units.sh', folder])
  const copied = readdirSync(folder)
  t.ok(copied.length > 3)
  for (const name of copied) {
    const template = readFileSync(join(cookbook, 'templates', name), 'utf8')
    t.equal(template, readFileSync(join(folder, name), 'utf8'), `${name}: run deploy/chef/copy-units.sh`)
  }
})

testOnRealParts(t, 'a first run sets everything up, a second one finds nothing to do', async (t) => {
  const machine = await bootMachine(t)
  const policy = {
    services: ['web-*'],
    allow: { privileged: true, bind_mounts: ['/srv'] },
    ports: ['8000-8100']
  }
  const node = {
    ...agent({
      policy,
      labels: { zone: 'a' },
      settings: { LONGSHORE_LOG_LEVEL: 'debug' },
      host_name: 'web-1'
    }),
    roles: ['web'],
    tags: ['fast disk']
  }
  const first = await machine.converge(node)
  t.equal(first.error, null)
  const token = find(first.declared, 'file', '/etc/longshore/join.token')
  t.match(token, { updated: true, properties: { mode: '0600', sensitive: true, backup: false } })
  t.equal(
    await machine.run('stat', '-c', '%a', '/etc/longshore/join.token', '/etc/longshore/agent.env'),
    '600\n600\n'
  )
  t.match(await machine.run('cat', '/etc/longshore/join.token'), tokenFor('test'))
  t.match(find(first.declared, 'service', 'longshore-agent'), { actions: ['enable', 'start'], updated: true })
  const types = new Set(first.declared.map(({ type }) => type))
  t.same(
    [...types].sort(),
    ['directory', 'execute', 'file', 'package', 'service', 'template'],
    'no account, no key'
  )

  const text = await machine.run('cat', '/etc/longshore/agent.env')
  const pairs = text.split('\n').flatMap((line) => /^([A-Z_]+)=(.*)$/.exec(line)?.slice(1, 3) ?? [])
  const environment: Record<string, string> = {}
  for (let at = 0; at < pairs.length; at += 2) environment[pairs[at] ?? ''] = pairs[at + 1] ?? ''
  t.match(readInvocation([], environment, { name: 'x', homeDir: '/root' }), {
    settings: {
      controllerUrl: { href: `${url}/` },
      hostName: 'web-1',
      labels: { zone: 'a', 'role.web': 'true', 'tag.fast_disk': 'true' },
      joinTokenFile: '/etc/longshore/join.token',
      policyFile: '/etc/longshore/policy.yaml',
      proxyMode: 'unit',
      logLevel: 'debug'
    }
  })
  const copy = join(makeTestFolder(t), 'policy.yaml')
  writeFileSync(copy, await machine.run('cat', '/etc/longshore/policy.yaml'))
  t.match(createPolicySource(copy).state(), { kind: 'active', policy }, 'the agent reads what the node says')

  const waiting = await machine.converge(node)
  t.same(waiting.updated, [], 'nothing changes while the host is not registered')
  await register(machine)
  t.same((await machine.converge(node)).updated, ['file[/etc/longshore/join.token]'], 'the token goes')
  const { attributes } = agent({
    policy,
    labels: { zone: 'a' },
    settings: { LONGSHORE_LOG_LEVEL: 'debug' },
    host_name: 'web-1',
    join_token: null
  })
  const last = await machine.converge({ ...node, ...(attributes && { attributes }) })
  t.same(last, { ...last, updated: [], error: null }, 'a registered host needs no token any more')
  t.match(await machine.run('ls', '/etc/longshore'), /^agent\.env\npolicy\.yaml\n$/)
})

testOnRealParts(t, 'what cannot be right is refused before anything is written', async (t) => {
  const machine = await bootMachine(t)
  const cases: [RegExp, Node][] = [
    [/for production, but this node belongs to test/, agent({ join_token: tokenFor('production') })],
    [/cannot be read: check that it was copied whole/, agent({ join_token: 'secret-but-cut' })],
    [
      /cannot be read: check that it was copied whole/,
      agent({ join_token: `${btoa('{}')}.${btoa('[1]')}.c2ln` })
    ],
    [/needs a join token: set one of/, agent({ join_token: null })],
    [/not several/, agent({ join_token_file: '/x' })],
    [
      /the item has no join token for test; it has staging/,
      {
        ...agent({ join_token: null, join_token_data_bag: 'longshore' }),
        data_bags: { longshore: { 'join-tokens': { id: 'join-tokens', staging: 't' } } }
      }
    ],
    [/LONGSHORE_LABELS has a property of its own/, agent({ settings: { LONGSHORE_LABELS: 'a=b' } })],
    [/must not hold quotes/, agent({ settings: { LONGSHORE_SUBNET: '"x"' } })],
    [/must not hold quotes/, agent({ controller_url: 'https://a\nLONGSHORE_JOIN_TOKEN=x' })],
    [/a value with a comma/, agent({ labels: { zone: 'a,b' } })],
    [/needs 1 to 63 letters/, agent({ labels: { 'a b': 'c' } })],
    [/a container needs the property image/, agent({ run_as: 'container' })],
    [/must be one of/, agent({ run_as: 'pod' })],
    [/controller_url is a required property/, agent({ controller_url: null })],
    [/undefined method/, agent({ colour: 'red' })]
  ]
  for (const [reason, node] of cases) {
    const { error, updated } = await machine.converge(node)
    t.match(error, reason)
    t.notMatch(error, 'secret-but-cut')
    t.same(updated, [])
  }
})

testOnRealParts(t, 'nothing of a token that cannot be read is in what Chef writes about it', async (t) => {
  // Chef's stack trace tells causes too
  const script = `Dir["${cookbook}/libraries/*.rb"].sort.each { |file| require file }
    begin
      LongshoreCookbook::JoinToken.check(ARGV[0], 'test')
    rescue LongshoreCookbook::Refused => e
      puts [e, e.cause].compact.map(&:message)
    end`
  const { stdout } = await collectCommand('ruby', ['-e', script, `a.${btoa('{"secret": half')}.c`])
  t.equal(stdout, 'the join token cannot be read: check that it was copied whole\n')
})

testOnRealParts(t, 'the token comes from a file, a data bag or a vault', async (t) => {
  const machine = await bootMachine(t)
  const item = { id: 'join-tokens', test: tokenFor('test'), production: tokenFor('production') }
  await machine.run('sh', '-c', `echo '  ${tokenFor('test')}' >/etc/token`)
  const places: Node[] = [
    agent({ join_token: null, join_token_file: '/etc/token' }),
    { ...agent({ join_token: null, join_token_data_bag: 'b' }), data_bags: { b: { 'join-tokens': item } } },
    {
      ...agent({ join_token: null, join_token_vault: 'v', join_token_item: 'i', environment: 'production' }),
      vaults: { v: { i: item } }
    }
  ]
  for (const [index, node] of places.entries()) {
    t.equal((await machine.converge(node)).error, null)
    const wanted = tokenFor(index === 2 ? 'production' : 'test')
    t.equal(await machine.run('cat', '/etc/longshore/join.token'), `${wanted}\n`)
  }
})

testOnRealParts(t, 'HAProxy and Docker Engine follow the distribution', async (t) => {
  const machine = await bootMachine(t)
  const proxies: Record<string, string> = {
    'debian debian 11': 'container',
    'debian debian 12': 'unit',
    'debian debian 13': 'unit',
    'debian debian forky/sid': 'unit',
    'ubuntu debian 22.04': 'container',
    'ubuntu debian 24.04': 'unit',
    'redhat rhel 9.4': 'container',
    'rocky rhel 10.0': 'unit',
    'suse suse 15.5': 'container'
  }
  const script = `Dir["${cookbook}/libraries/*.rb"].sort.each { |file| require file }
    distribution = LongshoreCookbook::Distribution
    puts JSON.generate(ARGV.map { |host|
      platform, family, version = host.split
      [distribution.haproxy(platform: platform, family: family, version: version),
       (distribution.docker_packages(family: family) rescue nil), distribution.docker_repository(platform: platform)] })`
  const said = JSON.parse(await machine.run('ruby', '-e', script, ...Object.keys(proxies)))
  t.same(
    said.map(([proxy]: string[]) => proxy),
    Object.values(proxies)
  )
  t.same(said[0][1], ['docker.io'])
  t.same(said[6].slice(1), [
    ['docker-ce', 'docker-ce-cli', 'containerd.io'],
    'https://download.docker.com/linux/rhel'
  ])
  t.match(said[7][2], /centos$/)
  t.equal(said[8][1], null, 'a distribution that is not known is not guessed')

  const boxed = await machine.converge(
    agent({ run_as: 'container', image: 'registry.example.com/longshore-agent:1' })
  )
  t.equal(boxed.error, null)
  t.equal(find(boxed.declared, 'package', 'haproxy'), undefined)
  t.match(await machine.run('cat', '/etc/longshore/agent.env'), 'LONGSHORE_PROXY=container')
  t.match(
    await machine.run('cat', '/etc/systemd/system/longshore-agent.service'),
    /ExecStart=\/usr\/bin\/docker run --rm .* registry\.example\.com\/longshore-agent:1\n/
  )
})
