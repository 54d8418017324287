// Where does an issuer publish its keys, and may the controller ask there? OpenID Connect Discovery 1.0, section 4.
// And where does it send people back to who sign in?
import { isLoopback } from '../notifications/target.ts'

/** @returns why the URL is refused as that of an issuer or of the page; undefined: it is fine */
export const refusalOfBaseUrl = (text: string): string | undefined => {
  if (!URL.canParse(text)) return 'it is no URL'
  const url = new URL(text)
  if (url.username !== '' || url.password !== '') return 'it must not contain a user name or password'
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(text))
    return 'it must have neither query nor fragment'
  return isSecure(url) ? undefined : 'it must be https:// (plain http on loopback only)'
}

/** Appended to the path, not in front of it. */
export const discoveryUrlOf = (issuer: string): URL =>
  new URL(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)

/**
 * What comes over an open network is anybody's.
 * @param name as its discovery document has it
 */
export const refusalOfEndpoint = (issuer: string, name: string, address: string): string | undefined => {
  const isWeaker = issuer.startsWith('https:') && !address.startsWith('https:')
  if (!isWeaker && URL.canParse(address) && isSecure(new URL(address))) return undefined
  return `its ${name} is not an https:// address`
}

/** One for each issuer: what another one answers comes in elsewhere (RFC 9700, section 4.4). */
export const callbackOf = (pageUrl: string, issuer: string): string =>
  new URL(`v1/sign-in/${issuer}/callback`, pageUrl.replace(/\/?$/, '/')).href

const isSecure = (url: URL): boolean =>
  url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
