// `longshore issuers set|list|remove`: whose ID tokens the controller takes, so that a pipeline needs no secret, and with
// which issuers people sign in at the page.
import { type Command, Option } from 'commander'
import type { IssuerView } from '../../api/schemas.ts'
import type { CliContext } from '../cli-context.ts'
import { CliError } from '../cli-errors.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseDuration, parseRepeated, parseRule, type Rule } from '../parse-values.ts'
import { readSecret } from '../read-secret.ts'

type SignInFlags = {
  clientId?: string
  clientSecretStdin?: true
  clientSecretFile?: string
  scope?: string[]
  pageUrl?: string
}
type SetFlags = SignInFlags & {
  url?: string
  issuer: string
  rule: Rule[]
  audience?: string
  maxAge?: number
}
type Flags = { url?: string; output: OutputFormat }

export function addIssuers(program: Command, context: CliContext): void {
  const group = program
    .command('issuers')
    .description('Issuers of ID tokens (OpenID Connect), and what their claims allow.')
  group
    .command('set <name>')
    .description(
      'Lets ID tokens of an issuer, or people who sign in with it, in by rules, in the place of former ones of this name.'
    )
    .requiredOption('--issuer <url>', 'its URL, exactly as the `iss` claim of its tokens has it')
    .addOption(
      new Option(
        '--rule <rule>',
        'claims and what they allow: "CLAIM=PATTERN ... VERB:ENV/SERVICE ..."; may be repeated'
      )
        .argParser(parseRule)
        .makeOptionMandatory()
    )
    .option(
      '--audience <text>',
      'the audience that its tokens must have (default: the id of the installation)'
    )
    .addOption(
      new Option(
        '--max-age <duration>',
        'how long after its issue a token is of use at most (default: 24h)'
      ).argParser(parseDuration)
    )
    .option('--client-id <id>', 'people sign in at the page with it, by this client of the issuer')
    .option('--client-secret-stdin', 'read the secret of the client from standard input')
    .option('--client-secret-file <path>', 'read the secret of the client from a file')
    .addOption(
      new Option(
        '--scope <scope>',
        'asked for beside "openid profile email", for example groups; may be repeated'
      ).argParser(parseRepeated)
    )
    .option('--page-url <url>', 'where people open the page (default: the URL of the controller)')
    .action(async (name: string, _own: unknown, self: Command) => {
      const flags = self.optsWithGlobals<SetFlags>()
      const { url, issuer, rule: rules, audience = null, maxAge } = flags
      const ownSignIn = await readSignIn(context, flags)
      const client = await context.connect(url)
      const age = maxAge === undefined ? {} : { maxAgeMs: maxAge }
      const signIn = ownSignIn && { pageUrl: client.url.href, ...ownSignIn }
      const view = await client.setIssuer(name, { url: issuer, audience, rules, signIn, ...age })
      context.stderr.write(describe(view))
    })
  group
    .command('list')
    .description('Lists the issuers with their rules.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const issuers = await (await context.connect(url)).issuers()
      const { renderIssuers } = await import('../render-issuers.ts')
      writeList(context, output, 'issuer', issuers, () => renderIssuers(issuers, context.controllerNowMs()))
    })
  group
    .command('remove <name>')
    .description('Lets ID tokens of an issuer, or people who sign in with it, in no longer, at once.')
    .action(async (name: string, _own: unknown, self: Command) => {
      await (await context.connect(self.optsWithGlobals<Flags>().url)).removeIssuer(name)
      context.stderr.write(`issuer ${name} is removed\n`)
    })
}

async function readSignIn(context: CliContext, flags: SetFlags) {
  const { clientId, clientSecretStdin, clientSecretFile: file, scope: scopes = [], pageUrl } = flags
  const hasSecret = clientSecretStdin !== undefined || file !== undefined
  if (clientId === undefined) {
    if (!hasSecret && scopes.length === 0 && pageUrl === undefined) return null
    throw new CliError('usage', 'give --client-id too: without a client nobody signs in')
  }
  if (flags.audience !== undefined)
    throw new CliError(
      'usage',
      'give --audience or --client-id: an issuer is for tokens that are sent, or for people'
    )
  const from = { isStdin: clientSecretStdin === true, file }
  const named = { name: 'client secret', option: '--client-secret', ...from }
  return {
    clientId,
    ...(hasSecret && { clientSecret: await readSecret(context, named) }),
    scopes,
    ...(pageUrl !== undefined && { pageUrl })
  }
}

function describe({ name, url, audience, signIn }: IssuerView): string {
  if (signIn === null) return `ID tokens of ${url} for the audience ${audience} are let in as ${name}\n`
  return `people sign in at ${signIn.pageUrl} with ${name}; the redirect URI to register there: ${signIn.redirectUri}\n`
}
