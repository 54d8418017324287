// Where does an issuer publish its keys, and may the controller ask there? OpenID Connect Discovery 1.0, section 4.
import { isLoopback } from '../notifications/target.ts'

/** @returns why the URL is refused as an issuer; undefined: it is fine */
export const refusalOfIssuer = (text: string): string | undefined => {
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

/** Keys that come over an open network are anybody's. */
export const refusalOfKeysUrl = (issuer: string, keys: string): string | undefined => {
  if (!URL.canParse(keys) || !isSecure(new URL(keys))) return 'its keys are not at an https:// address'
  const isWeaker = issuer.startsWith('https:') && !keys.startsWith('https:')
  return isWeaker ? 'its keys are not at an https:// address' : undefined
}

const isSecure = (url: URL): boolean =>
  url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
