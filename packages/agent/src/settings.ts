// What the agent can be told, and how: one table gives every setting its schema, its words and its default;
// environment variable and option are two spellings of one name. Reads no file and no clock; the values that
// the host decides (its name, its home directory) are passed in.
import { hostName, labels } from '@longshore/protocol'
import * as z from 'zod'
import { defaultSubnets, readSubnet } from './core/own-network.ts'

/** A setting is text until its schema has read it. Options are the variable's name without `LONGSHORE_`. */
type Setting = { schema: z.ZodType; isFlag?: true; value: string; about: string; byDefault: string }

/** The registered data directory of the packaged agent. */
export const defaultDataDir = '/var/lib/longshore-agent'
export const defaultDockerHost = 'unix:///var/run/docker.sock'
/** Enough for the engine to go on writing logs while an operator reacts. */
export const defaultMinFreeBytes = 1024 ** 3

const yesOrNo = z
  .enum(['1', 'true', '0', 'false'], 'must be 1 or 0')
  .transform((text) => text === '1' || text === 'true')

const absolutePath = z.string().startsWith('/', 'must be an absolute path').max(4096)

const controllerUrl = z
  .string()
  .refine((text) => URL.canParse(text), 'must be a URL such as https://longshore.example.com')
  .transform((text) => new URL(text))
  .refine((url) => /^(https?|wss?):$/.test(url.protocol), 'must begin with https:// (or http:// on loopback)')
  .refine((url) => url.username === '' && url.password === '', 'must not hold a user name or password')
  .transform(withHttpScheme)
  .refine((url) => url.search === '' && url.hash === '', 'must not have a query or a fragment')

const dockerHost = z
  .string()
  .regex(
    /^(unix:\/\/\/.+|tcp:\/\/[^/]+)$/,
    'must be unix:///path/to/docker.sock or tcp://HOST:PORT; other schemes are not supported'
  )

const subnet = z
  .string()
  .refine((text) => (readSubnet(text)?.size ?? 0) >= 32, 'must be an IPv4 subnet such as 172.30.77.0/24')
const proxyModes = ['process', 'unit', 'container'] as const
/** The series that Debian 12 has, with its long-term support. */
const defaultProxyImage = 'haproxy:2.6'

const imageName = z
  .string()
  .max(512)
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._:/@-]*$/, 'must be the name of an image, such as haproxy:2.6')

const labelList = z.string().transform(splitLabels).pipe(labels)

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

/** Every setting, by its environment variable. docs/agent.md has a row each; a test compares both ways. */
export const settingTable = {
  LONGSHORE_CONTROLLER_URL: {
    schema: controllerUrl,
    value: 'URL',
    about: 'where the controller answers',
    byDefault: 'none: it must be set'
  },
  LONGSHORE_JOIN_TOKEN: {
    schema: z.string().max(8192).optional(),
    value: 'TOKEN',
    about: 'registers this host; prefer the file, which no process list shows',
    byDefault: 'none'
  },
  LONGSHORE_JOIN_TOKEN_FILE: {
    schema: absolutePath.optional(),
    value: 'FILE',
    about: 'file that holds the join token; read only while the host is not registered',
    byDefault: 'the credential join-token of systemd, if there is one'
  },
  LONGSHORE_DATA_DIR: {
    schema: absolutePath.default(defaultDataDir),
    value: 'DIR',
    about: 'keys, identity and journal; owned by the agent alone',
    byDefault: defaultDataDir
  },
  LONGSHORE_HOST_NAME: {
    schema: hostName.optional(),
    value: 'NAME',
    about: 'the name under which the host registers',
    byDefault: "the host's own name"
  },
  LONGSHORE_LABELS: {
    schema: labelList.default({}),
    value: 'K=V,K=V',
    about: 'labels that the host gives itself, for placement; sent at registration',
    byDefault: 'none'
  },
  LONGSHORE_POLICY_FILE: {
    schema: absolutePath.default('/etc/longshore/policy.yaml'),
    value: 'FILE',
    about: 'what commands may do on this host; a missing file allows all of it',
    byDefault: '/etc/longshore/policy.yaml'
  },
  LONGSHORE_CA_FILE: {
    schema: absolutePath.optional(),
    value: 'FILE',
    about: "PEM certificates to trust for the controller, in place of Node's and the system's",
    byDefault: "Node's and the system's certificates"
  },
  LONGSHORE_ALLOW_PLAINTEXT: {
    schema: yesOrNo.default(false),
    isFlag: true,
    value: '1',
    about: 'allow http:// to an address that is not loopback, because something else encrypts',
    byDefault: '0'
  },
  LONGSHORE_LOG_LEVEL: {
    schema: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'),
    value: 'LEVEL',
    about: 'least severe lines to log',
    byDefault: 'info'
  },
  LONGSHORE_MIN_FREE_BYTES: {
    schema: z
      .string()
      .regex(/^\d{1,15}$/, 'must be a whole number of bytes')
      .transform(Number)
      .default(defaultMinFreeBytes),
    value: 'BYTES',
    about: "free space that must be left on the engine's disk after an image was fetched",
    byDefault: '1073741824 (1 GiB)'
  },
  LONGSHORE_SUBNET: {
    schema: subnet.optional(),
    value: 'CIDR',
    about: 'of the network that containers of start-first services get their addresses in',
    byDefault: 'the first free one of a list, 172.30.77.0/24 before others'
  },
  LONGSHORE_PROXY: {
    schema: z.enum(proxyModes, `must be one of ${proxyModes.join(', ')}`).default('process'),
    value: 'MODE',
    about: 'who runs HAProxy for services with order start-first: the agent, a systemd unit, or a container',
    byDefault: 'process'
  },
  LONGSHORE_PROXY_IMAGE: {
    schema: imageName.default(defaultProxyImage),
    value: 'IMAGE',
    about: 'the image of HAProxy for LONGSHORE_PROXY=container',
    byDefault: defaultProxyImage
  },
  LONGSHORE_HOST_DATA_DIR: {
    schema: absolutePath.optional(),
    value: 'DIR',
    about: 'where the data directory lies on the host, for an agent in a container',
    byDefault: 'LONGSHORE_DATA_DIR'
  },
  DOCKER_HOST: {
    schema: dockerHost.default(defaultDockerHost),
    value: 'URL',
    about: 'the Docker Engine of this host',
    byDefault: defaultDockerHost
  },
  DOCKER_CONFIG: {
    schema: absolutePath.optional(),
    value: 'DIR',
    about: "directory of Docker's config.json, for registry credentials",
    byDefault: '$HOME/.docker'
  }
} as const satisfies Record<string, Setting>
export type SettingName = keyof typeof settingTable

export const settingNames = Object.keys(settingTable) as SettingName[]

type Parsed = { [N in SettingName]: z.infer<(typeof settingTable)[N]['schema']> }

/** What the agent runs with. Paths are absolute; `controllerUrl` is http or https. */
export type Settings = {
  controllerUrl: URL
  joinToken: string | null
  joinTokenFile: string | null
  /** The credential of systemd: where a token is looked for when neither of the other two is given. */
  joinTokenCredential: string | null
  dataDir: string
  hostName: string
  labels: Record<string, string>
  policyFile: string
  caFile: string | null
  logLevel: (typeof logLevels)[number]
  minFreeBytes: number
  /** In the order of preference. */
  ownSubnets: readonly string[]
  proxyMode: (typeof proxyModes)[number]
  proxyImage: string
  /** The data directory as the engine of the host sees it. */
  hostDataDir: string
  dockerHost: string
  dockerConfigDir: string
}

export type Invocation =
  | { kind: 'run' | 'deregister'; settings: Settings }
  | { kind: 'health'; dataDir: string }
  | { kind: 'help' }
  | { kind: 'version' }

/** Every problem of one start, each a sentence that begins with the setting's name. Never holds a value. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super(problems.join('\n'))
    this.problems = problems
  }
}

/**
 * Reads options and environment; an option wins over its variable. An empty variable counts as not set.
 * @param args what follows the program's name
 * @throws SettingsError with every problem found, not only the first
 */
export const readInvocation = (
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
  host: { name: string; homeDir: string }
): Invocation => {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' }
  if (args.includes('--version')) return { kind: 'version' }
  const isHealth = args[0] === '--health'
  const kind = args.includes(deregisterOption) ? 'deregister' : 'run'
  const { given, problems } = readOptions(
    (isHealth ? args.slice(1) : args).filter((arg) => arg !== deregisterOption)
  )
  const parsed: Record<string, unknown> = {}
  for (const name of settingNames) {
    const fromEnvironment = environment[name] === '' ? undefined : environment[name]
    const text = given[name] ?? fromEnvironment
    if (isHealth && name !== 'LONGSHORE_DATA_DIR') continue
    if (text === undefined && name === 'LONGSHORE_CONTROLLER_URL') {
      problems.push(`${name}: is not set; give the URL of the controller`)
      continue
    }
    const result = settingTable[name].schema.safeParse(text)
    if (result.success) parsed[name] = result.data
    else problems.push(...result.error.issues.map((issue) => `${name}: ${describeIssue(issue)}`))
  }
  problems.push(...relatedProblems(parsed))
  if (problems.length > 0) throw new SettingsError(problems)
  if (isHealth) return { kind: 'health', dataDir: String(parsed['LONGSHORE_DATA_DIR']) }
  const settings = toSettings(parsed as Parsed, host, environment['CREDENTIALS_DIRECTORY'] || null)
  return { kind, settings }
}

/** Not a setting: what to do instead of running. */
const deregisterOption = '--deregister'

/** `LONGSHORE_DATA_DIR` -> `--data-dir`, `DOCKER_HOST` -> `--docker-host`. */
export const optionOf = (name: SettingName): string =>
  `--${name
    .replace(/^LONGSHORE_/, '')
    .toLowerCase()
    .replaceAll('_', '-')}`

/** The text of `--help`. */
export const describeUsage = (): string => {
  const rows = settingNames.map((name) => {
    const { value, about, byDefault } = settingTable[name]
    return `  ${optionOf(name)} ${value}\n      ${name}: ${about}\n      default: ${byDefault}`
  })
  return [
    'Usage: longshore-agent [OPTION VALUE]...',
    '',
    'Registers this host with a Longshore controller and carries out its deployments.',
    'Every option can be given as the environment variable named below it; the option wins.',
    '',
    ...rows,
    '  --health',
    '      must come first; asks the agent that runs on the data directory: ends with 0 if it answers, else with 1',
    `  ${deregisterOption}`,
    '      says goodbye to the controller for good, forgets who this host is, and ends',
    '  --version',
    '  --help',
    ''
  ].join('\n')
}

/** Loopback by name or number: what never leaves the machine (RFC 6761 section 6.3, RFC 1122, RFC 4291). */
export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)

function withHttpScheme(url: URL): URL {
  return new URL(url.href.replace(/^ws/, 'http'))
}

function splitLabels(text: string, context: z.RefinementCtx): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const part of text.split(',').map((piece) => piece.trim())) {
    if (part === '') continue
    const at = part.indexOf('=')
    if (at < 1) context.addIssue(`"${part}" is not of the form name=value`)
    else pairs[part.slice(0, at)] = part.slice(at + 1)
  }
  return pairs
}

const readOptions = (
  args: readonly string[]
): { given: Partial<Record<SettingName, string>>; problems: string[] } => {
  const byOption = new Map(settingNames.map((name) => [optionOf(name), name]))
  const given: Partial<Record<SettingName, string>> = {}
  const problems: string[] = []
  for (let index = 0; index < args.length; index += 1) {
    const [option = '', inline] = splitOnce(args[index] ?? '', '=')
    const name = byOption.get(option)
    if (name === undefined) {
      // the text itself may be a token that lost its option: it is not repeated
      problems.push(
        option.startsWith('--') ? `${option}: there is no such option; see --help` : strayArgument
      )
      continue
    }
    const isFlag = 'isFlag' in settingTable[name]
    const value = inline ?? (isFlag ? '1' : args[++index])
    if (value === undefined || value === '') problems.push(`${option}: needs a value`)
    else given[name] = value
  }
  return { given, problems }
}

const strayArgument = 'an argument without an option was given; see --help'

const splitOnce = (text: string, separator: string): [string, string | undefined] => {
  const at = text.indexOf(separator)
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)]
}

const describeIssue = (issue: z.core.$ZodIssue): string => {
  const where = issue.path.length > 0 ? `${issue.path.join('.')}: ` : ''
  return (
    where +
    (issue.code === 'invalid_format' && issue.format === 'regex' && issue.message.startsWith('Invalid')
      ? 'holds characters that are not allowed there'
      : issue.message)
  )
}

/** What only two settings together can get wrong. */
const relatedProblems = (parsed: Partial<Record<string, unknown>>): string[] => {
  const problems: string[] = []
  const url = parsed['LONGSHORE_CONTROLLER_URL']
  if (
    url instanceof URL &&
    url.protocol === 'http:' &&
    !isLoopback(url.hostname) &&
    parsed['LONGSHORE_ALLOW_PLAINTEXT'] === false
  ) {
    problems.push(
      `LONGSHORE_CONTROLLER_URL: http:// to ${url.hostname} is not encrypted; use https://, or set LONGSHORE_ALLOW_PLAINTEXT=1 if something else encrypts`
    )
  }
  if (parsed['LONGSHORE_JOIN_TOKEN'] !== undefined && parsed['LONGSHORE_JOIN_TOKEN_FILE'] !== undefined) {
    problems.push('LONGSHORE_JOIN_TOKEN: give either it or LONGSHORE_JOIN_TOKEN_FILE, not both')
  }
  return problems
}

const toSettings = (
  parsed: Parsed,
  host: { name: string; homeDir: string },
  credentials: string | null
): Settings => ({
  controllerUrl: parsed.LONGSHORE_CONTROLLER_URL,
  joinToken: parsed.LONGSHORE_JOIN_TOKEN ?? null,
  joinTokenFile: parsed.LONGSHORE_JOIN_TOKEN_FILE ?? null,
  joinTokenCredential: credentials === null ? null : `${credentials}/join-token`,
  dataDir: parsed.LONGSHORE_DATA_DIR,
  hostName: parsed.LONGSHORE_HOST_NAME ?? host.name,
  labels: parsed.LONGSHORE_LABELS,
  policyFile: parsed.LONGSHORE_POLICY_FILE,
  caFile: parsed.LONGSHORE_CA_FILE ?? null,
  logLevel: parsed.LONGSHORE_LOG_LEVEL,
  minFreeBytes: parsed.LONGSHORE_MIN_FREE_BYTES,
  ownSubnets: parsed.LONGSHORE_SUBNET === undefined ? defaultSubnets : [parsed.LONGSHORE_SUBNET],
  proxyMode: parsed.LONGSHORE_PROXY,
  proxyImage: parsed.LONGSHORE_PROXY_IMAGE,
  hostDataDir: parsed.LONGSHORE_HOST_DATA_DIR ?? parsed.LONGSHORE_DATA_DIR,
  dockerHost: parsed.DOCKER_HOST,
  dockerConfigDir: parsed.DOCKER_CONFIG ?? `${host.homeDir}/.docker`
})
