// `longshore issuers set|list|remove`: whose ID tokens the controller takes, so that a pipeline needs no secret.
import { type Command, Option } from 'commander'
import type { CliContext } from '../cli-context.ts'
import { type OutputFormat, outputOption, writeList } from '../output-format.ts'
import { parseDuration, parseRule, type Rule } from '../parse-values.ts'

type SetFlags = { url?: string; issuer: string; rule: Rule[]; audience?: string; maxAge?: number }
type Flags = { url?: string; output: OutputFormat }

export function addIssuers(program: Command, context: CliContext): void {
  const group = program
    .command('issuers')
    .description('Issuers of ID tokens (OpenID Connect), and what their claims allow.')
  group
    .command('set <name>')
    .description('Lets ID tokens of an issuer in by rules, in the place of former ones of this name.')
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
    .action(async (name: string, _own: unknown, self: Command) => {
      const { url, issuer, rule: rules, audience = null, maxAge } = self.optsWithGlobals<SetFlags>()
      const client = await context.connect(url)
      const age = maxAge === undefined ? {} : { maxAgeMs: maxAge }
      const view = await client.setIssuer(name, { url: issuer, audience, rules, ...age })
      context.stderr.write(
        `ID tokens of ${view.url} for the audience ${view.audience} are let in as ${view.name}\n`
      )
    })
  group
    .command('list')
    .description('Lists the issuers with their rules.')
    .addOption(outputOption())
    .action(async (_own: unknown, self: Command) => {
      const { url, output } = self.optsWithGlobals<Flags>()
      const issuers = await (await context.connect(url)).issuers()
      const { renderIssuers } = await import('../render-issuers.ts')
      writeList(context, output, 'issuer', issuers, () => renderIssuers(issuers, context.nowMs()))
    })
  group
    .command('remove <name>')
    .description('Lets the ID tokens of an issuer in no longer, at once.')
    .action(async (name: string, _own: unknown, self: Command) => {
      await (await context.connect(self.optsWithGlobals<Flags>().url)).removeIssuer(name)
      context.stderr.write(`issuer ${name} is removed\n`)
    })
}
