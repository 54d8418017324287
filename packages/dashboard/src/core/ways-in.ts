// Can people sign in with an issuer from this page? It sends them back to one address, and the cookie that has to be
// there is the one of where they began.
import { addressOf, placeOf, readRoute } from './read-route.ts'

/** The controller keeps no longer ones. */
const maxViewChars = 1000

/**
 * @param origin of the page that is open
 * @returns null: here; else where, in the same view
 */
export const elsewhereFor = (pageUrl: string, origin: string, hash: string): string | null =>
  new URL(pageUrl).origin === origin ? null : new URL(viewFor(hash), pageUrl).href

/** One of the page's own views, whatever stands in the address. */
export const viewFor = (hash: string): string => {
  const route = readRoute(hash)
  return [addressOf(route), placeOf(route)].find((one) => one.length <= maxViewChars) ?? '#/'
}
