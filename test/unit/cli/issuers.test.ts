// What `longshore issuers` asks the controller for, how rules are typed, and a token file that changes.
import t from 'tap'
import { readSettings } from '../../../packages/controller/src/cli/read-settings.ts'
import { nowMs, runCommandOf } from '../../support/cli-unit.ts'

const issuer = 'https://jenkins.example.com/oidc'
const first = { claims: { sub: 'https://jenkins.example.com/job/api/*' }, allow: ['deploy:staging/api'] }
const second = { claims: { ref: 'main', a: 'b=c' }, allow: ['push-image:*/*', 'read:*/*'] }

t.test('a rule is claims with an equals sign and permissions without one', async (t) => {
  const asked: unknown[] = []
  const setIssuer = async (name: string, body: { url: string }) => {
    asked.push([name, body])
    return { name, url: body.url, audience: 'ins', signIn: null }
  }
  const set = (...more: string[]) =>
    runCommandOf({ setIssuer }, ['issuers', 'set', 'jenkins', '--issuer', issuer, ...more])
  const rules = [
    `sub=https://jenkins.example.com/job/api/* deploy:staging/api`,
    ' ref=main  push-image:*/* a=b=c read:*/*'
  ].flatMap((text) => ['--rule', text])
  const { err } = await set(...rules, '--max-age', '1h')
  t.equal(err, `ID tokens of ${issuer} for the audience ins are let in as jenkins\n`)
  t.same(asked, [
    ['jenkins', { url: issuer, audience: null, rules: [first, second], signIn: null, maxAgeMs: 3_600_000 }]
  ])
  for (const wrong of ['sub=x', 'deploy:staging/api', '=x read:*/*', 'sub= read:*/*', 'a=1 a=2 read:*/*', ''])
    await t.rejects(set('--rule', wrong), { code: 'commander.invalidArgument' }, wrong)
  await t.rejects(set(), { code: 'commander.missingMandatoryOptionValue' })
})

t.test('issuers are listed with a line for each rule, and removed', async (t) => {
  const one = {
    name: 'jenkins',
    url: issuer,
    audience: 'ins',
    maxAgeMs: 3_600_000,
    rules: [first, second],
    signIn: null,
    setAtMs: nowMs - 5_000,
    setBy: 'admin'
  }
  const { out } = await runCommandOf({ issuers: async () => [one] }, ['issuers', 'list'])
  const [head, line, more] = out.split('\n')
  t.match(head, /^NAME +ISSUER +AUDIENCE +MAX AGE +SIGN-IN +CLAIMS +ALLOW +SET +BY$/)
  t.match(line, /^jenkins +https:\S+oidc +ins +1h .* +- +sub=\S+ +deploy:staging\/api +5 ?s.* admin$/)
  t.match(more, /^ +ref=main a=b=c +push-image:\*\/\* read:\*\/\* *$/)
  const none = await runCommandOf({ issuers: async () => [] }, ['issuers', 'list'])
  t.match(none.out, /no issuers/)
  const gone: string[] = []
  const removeIssuer = async (name: string) => void gone.push(name)
  t.match(await runCommandOf({ removeIssuer }, ['issuers', 'remove', 'jenkins']), { err: /is removed/ })
  t.same(gone, ['jenkins'])
})

t.test('a client with which people sign in is set with a secret that no command line has', async (t) => {
  const asked: { signIn: { pageUrl: string } }[] = []
  const setIssuer = async (name: string, body: { signIn: { pageUrl: string } }) => {
    asked.push(body)
    const signIn = { ...body.signIn, redirectUri: 'https://x.example.com/v1/sign-in/corp/callback' }
    return { name, url: issuer, audience: 'longshore', signIn }
  }
  const client = { setIssuer, url: new URL('https://longshore.example.com:7300') }
  const set = (args: string[], prepared: object = {}) =>
    runCommandOf(
      client,
      ['issuers', 'set', 'corp', '--issuer', issuer, '--rule', 'groups=ops *:*/*', ...args],
      prepared
    )
  const readFile = async (path: string) => `of ${path}\n`
  const { err } = await set(['--client-id', 'longshore', '--client-secret-file', '/s', '--scope', 'groups'], {
    readFile
  })
  t.match(err, 'at https://longshore.example.com:7300/ with corp')
  t.match(err, 'redirect URI to register there: https://x.example.com/v1/sign-in/corp/callback')
  await set(['--client-id', 'longshore', '--page-url', 'https://ops.example.com/longshore'])
  await set(['--client-id', 'longshore', '--client-secret-stdin'], { readStdin: async () => 'typed\r\n' })
  const pageUrl = 'https://longshore.example.com:7300/'
  t.same(
    asked.map(({ signIn }) => signIn),
    [
      { clientId: 'longshore', clientSecret: 'of /s', scopes: ['groups'], pageUrl },
      { clientId: 'longshore', scopes: [], pageUrl: 'https://ops.example.com/longshore' },
      { clientId: 'longshore', clientSecret: 'typed', scopes: [], pageUrl }
    ]
  )
  for (const [wrong, message] of [
    [['--scope', 'groups'], /--client-id/],
    [['--client-secret-stdin'], /--client-id/],
    [['--client-id', 'x', '--audience', 'y'], /--audience or --client-id/],
    [['--client-id', 'x', '--client-secret-stdin', '--client-secret-file', '/s'], /-stdin or with/]
  ] as const)
    await t.rejects(set([...wrong]), { code: 'usage', message })
  await t.rejects(set(['--client-id', 'x', '--client-secret-stdin'], { readStdin: async () => '\n' }), {
    message: /empty/
  })
})

t.test('a token file is read again for each request, and the last good token outlives it', async (t) => {
  let content: string | null = 'one\n'
  const settings = await readSettings({ LONGSHORE_TOKEN_FILE: '/t' }, undefined, async () => {
    if (content === null) throw new Error('gone')
    return content
  })
  t.equal(settings.token, 'one')
  content = 'two'
  const renewed = await settings.renewed()
  t.equal(renewed.token, 'two')
  for (const lost of ['', null]) {
    content = lost
    t.equal((await renewed.renewed()).token, 'two')
  }
})
