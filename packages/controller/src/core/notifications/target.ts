// Where may notifications go, and how much of that address may be shown? A path or a query is often the secret of
// the receiver (Slack's is), so only scheme and host ever leave the store.

/** @returns why the URL is refused; undefined: it is fine. @param url http or https */
export const refusalOfUrl = (url: URL, mayBePlaintext: boolean): string | undefined => {
  if (url.username !== '' || url.password !== '') return 'it must not contain a user name or password'
  if (url.protocol === 'https:' || mayBePlaintext || isLoopback(url.hostname)) return undefined
  return 'it must be https:// (plain http goes to loopback only, unless the controller runs with LONGSHORE_ALLOW_PLAINTEXT=1)'
}

export const isLoopback = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)

/** `https://hooks.slack.com/…` */
export const shownTarget = (url: URL): string =>
  url.pathname === '/' && url.search === '' ? url.origin : `${url.origin}/…`

/** A segment or value shorter than this is no secret, and would blank out words of the text. */
const shortestSecret = 8

/** What a receiver said, without what it repeats of its own URL; an error page likes to. */
export const withoutUrl = (text: string, url: URL): string => {
  const segments = [...url.pathname.split('/'), ...[...url.searchParams].flat()]
  const whole = [url.pathname, url.search].filter((part) => part.length > 1)
  const parts = [...whole, ...segments.filter((part) => part.length >= shortestSecret)]
  return parts
    .flatMap((part) => [part, decoded(part)])
    .sort((a, b) => b.length - a.length)
    .reduce((cleaned, part) => cleaned.replaceAll(part, '…'), text)
}

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
