// What `longshore registry` asks the controller for, and where it takes passwords from.
import t from 'tap'
import { endCommandOf, nowMs, refuse, runCommandOf } from '../../support/cli-unit.ts'

const run = (client: object, args: string[], stdin?: string) =>
  runCommandOf(client, ['registry', ...args], {
    readStdin: async () => stdin ?? refuse(),
    readFile: async (path) => (path === '/run/password' ? 'from a file\r\n' : refuse())
  })

t.test('a password comes from standard input or a file, without the line break at its end', async (t) => {
  const asked: unknown[] = []
  const loginRegistry = async (body: { username: string }) => {
    asked.push(body)
    return { host: 'docker.io', username: body.username, helper: null }
  }
  const login = ['login', 'index.docker.io', '--username', 'puller']
  const said = await run({ loginRegistry }, [...login, '--password-stdin'], ' a b \n')
  t.same(said, { out: '', err: 'hosts log in to docker.io as puller\n' })
  await run({ loginRegistry }, [...login, '--password-file', '/run/password'])
  const host = 'index.docker.io'
  t.same(asked, [
    { host, username: 'puller', password: ' a b ' },
    { host, username: 'puller', password: 'from a file' }
  ])
})

t.test(
  'a login without a password, or with two places for it, is refused before anything is asked',
  async (t) => {
    const login = ['login', 'docker.io', '--username', 'puller']
    for (const more of [[], ['--password-stdin', '--password-file', '/run/password']])
      await t.rejects(run({}, [...login, ...more], 'x'), { code: 'usage' })
    await t.rejects(run({}, [...login, '--password-stdin'], '\n'), { code: 'usage', message: /empty/ })
    await t.rejects(run({}, [...login, '--password-file', '/none']), { code: 'file-unreadable' })
  }
)

t.test('a helper of the controller takes the place of user name and password', async (t) => {
  const helper = 'docker-credential-ecr-login'
  const asked: unknown[] = []
  const loginRegistry = async (body: object) => {
    asked.push(body)
    return { host: 'docker.io', username: null, helper }
  }
  const said = await run({ loginRegistry }, ['login', 'docker.io', '--helper', helper])
  t.same(said, { out: '', err: `hosts log in to docker.io with what ${helper} says\n` })
  t.same(asked, [{ host: 'docker.io', helper }])
  for (const more of [['--username', 'x'], ['--password-stdin']])
    await t.rejects(run({}, ['login', 'docker.io', '--helper', helper, ...more], 'x'), { code: 'usage' })
  await t.rejects(run({}, ['login', 'docker.io', '--password-stdin'], 'x'), { code: 'usage' })
})

t.test('registries are listed with their user names, and forgotten', async (t) => {
  const one = { host: 'docker.io', username: 'puller', helper: null, setAtMs: nowMs - 5_000, setBy: 'ci' }
  const { out } = await run({ registries: async () => [one] }, ['list'])
  t.match(out, /^REGISTRY +USER +HELPER +SET +BY\ndocker\.io +puller +- +5 ?s.* +ci\n$/)
  t.match((await run({ registries: async () => [] }, ['list'])).out, /no credentials/)
  const json = await run({ registries: async () => [one] }, ['list', '--output', 'json'])
  t.same(JSON.parse(json.out), [one])
  const gone: string[] = []
  const logoutRegistry = async (host: string) => void gone.push(host)
  t.match(await run({ logoutRegistry }, ['logout', 'docker.io']), { out: '', err: /forgotten/ })
  t.same(gone, ['docker.io'])
})

t.test('a password that stands where none is taken is written nowhere, and sent nowhere', async (t) => {
  const login = ['login', 'docker.io', '--username', 'puller']
  for (const [args, says] of [
    [[...login, '--password=s3cret'], /unknown option '--password'/],
    [[...login, "--pass=s3cret's\ns3cret"], /unknown option '--pass'/],
    [[...login, '-ps3cret'], /unknown option '-p'/],
    [[...login, 's3cret'], /the registry alone/],
    [['logout', 'https://puller:s3cret@docker.io'], /no registry/]
  ] as const) {
    const { exitCode, err } = await endCommandOf({}, ['registry', ...args])
    t.equal(exitCode, 2)
    t.match(err, says)
    t.notMatch(err, /s3cret/)
  }
})
