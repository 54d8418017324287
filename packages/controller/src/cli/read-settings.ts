// Where the controller is and who asks: from the environment and --url. The token never comes from the command
// line, where every user of the machine could read it. Decides only; files are read by the caller's function.
import { CliError } from './cli-errors.ts'
import type { ControllerClock } from './controller-clock.ts'

/** The port that `controller start` listens on by default, on the same machine. */
export const defaultUrl = 'http://127.0.0.1:7300'

export type Settings = {
  url: URL
  token: string
  /** PEM; null: the system's certificate authorities. */
  ca: string | null
  /** With the token that its file holds now: while a command waits, a pipeline may put a fresh one there. Never rejects. */
  renewed(): Promise<Settings>
  /** Is told the time of each answer. */
  clock?: Pick<ControllerClock, 'heard'>
}
export type Environment = Readonly<Record<string, string | undefined>>
type ReadText = (path: string) => Promise<string>

/** @throws CliError usage, plaintext-refused, token-missing, file-unreadable */
export async function readSettings(
  env: Environment,
  urlOption: string | undefined,
  readText: ReadText
): Promise<Settings> {
  const url = readUrl(urlOption ?? settingOf(env, 'LONGSHORE_URL') ?? defaultUrl)
  refusePlaintext(url, env)
  const token = await readToken(env, readText)
  const caFile = settingOf(env, 'LONGSHORE_CA_FILE')
  const ca = caFile === undefined ? null : await readNamed(caFile, 'LONGSHORE_CA_FILE', readText)
  const withToken = (latest: string): Settings => ({
    url,
    token: latest,
    ca,
    // a file that is gone or half written: the token that was good is tried
    renewed: async () => withToken(await readToken(env, readText).catch(() => latest))
  })
  return withToken(token)
}

/** An empty variable counts as not set: CI systems cannot unset one. */
const settingOf = (env: Environment, name: string): string | undefined => env[name]?.trim() || undefined

function readUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new CliError('usage', `the controller's URL is not valid: ${text}`, [
      'expected http://HOST:PORT or https://HOST[:PORT] in LONGSHORE_URL or --url'
    ])
  }
  if (url.username !== '' || url.password !== '') {
    throw new CliError('usage', "the controller's URL must not contain a user name or password")
  }
  return url
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)

function refusePlaintext(url: URL, env: Environment): void {
  if (url.protocol === 'https:' || isLoopback(url.hostname)) return
  if (settingOf(env, 'LONGSHORE_ALLOW_PLAINTEXT') === '1') return
  throw new CliError('plaintext-refused', `${url.origin} would carry the token unencrypted`, [
    'use https://, or set LONGSHORE_ALLOW_PLAINTEXT=1 if something else encrypts the way there'
  ])
}

async function readToken(env: Environment, readText: ReadText): Promise<string> {
  const token = settingOf(env, 'LONGSHORE_TOKEN')
  const file = settingOf(env, 'LONGSHORE_TOKEN_FILE')
  if (token !== undefined && file !== undefined) {
    throw new CliError('usage', 'LONGSHORE_TOKEN and LONGSHORE_TOKEN_FILE are both set; set one')
  }
  const found =
    token ?? (file === undefined ? '' : (await readNamed(file, 'LONGSHORE_TOKEN_FILE', readText)).trim())
  if (found === '') {
    throw new CliError('token-missing', 'no API token or ID token', [
      'set LONGSHORE_TOKEN or LONGSHORE_TOKEN_FILE; `longshore controller init` and `longshore api-token create` print one'
    ])
  }
  // what an HTTP header may carry: a token with a line break or a blank was pasted wrongly
  if (!/^[\x21-\x7e]+$/.test(found))
    throw new CliError('token-missing', 'the token has blanks or unprintable characters in it')
  return found
}

async function readNamed(path: string, setting: string, readText: ReadText): Promise<string> {
  try {
    return await readText(path)
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : String(cause)
    throw new CliError('file-unreadable', `cannot read the file named by ${setting}: ${detail}`, [], {
      cause
    })
  }
}
