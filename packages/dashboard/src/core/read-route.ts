// Which view an address names, after its `#`. What nobody knows is the fleet.
import { type LogWish, readWish, writeWish } from './log-wish.ts'

export type Route =
  | { readonly view: 'fleet' }
  | { readonly view: 'host'; readonly id: string }
  | { readonly view: 'deployments' }
  | { readonly view: 'deployment'; readonly id: string }
  | { readonly view: 'service'; readonly environment: string; readonly service: string }
  | LogsRoute
  | { readonly view: 'audit' }
  | { readonly view: 'tokens' }

export type LogsRoute = {
  readonly view: 'logs'
  /** null: to be chosen. */
  readonly environment: string | null
  readonly service: string | null
  readonly wish: LogWish
}

export const readRoute = (hash: string): Route => {
  const [path = '', ...query] = hash.replace(/^#?\/?/, '').split('?')
  const [view, ...parts] = path.split('/').map(decode)
  const [first, second] = parts
  if (view === 'hosts' && first) return { view: 'host', id: first }
  if (view === 'deployments') return first ? { view: 'deployment', id: first } : { view }
  if (view === 'services' && first && second) return { view: 'service', environment: first, service: second }
  if (view === 'logs') {
    const isWhole = Boolean(first && second)
    const [environment, service] = isWhole ? [first ?? null, second ?? null] : [null, null]
    return { view, environment, service, wish: readWish(query.join('?')) }
  }
  if (view === 'audit' || view === 'tokens') return { view }
  return { view: 'fleet' }
}

export const addressOf = (route: Route): string => {
  const query = route.view === 'logs' ? writeWish(route.wish) : ''
  return `${placeOf(route)}${query === '' ? '' : `?${query}`}`
}

/** Without what is chosen within the view. */
export const placeOf = (route: Route): string => {
  const parts = (): string[] => {
    switch (route.view) {
      case 'host':
        return ['hosts', route.id]
      case 'deployment':
        return ['deployments', route.id]
      case 'service':
        return ['services', route.environment, route.service]
      case 'logs':
        return route.environment === null || route.service === null
          ? ['logs']
          : ['logs', route.environment, route.service]
      default:
        return [route.view]
    }
  }
  return `#/${parts().map(encodeURIComponent).join('/')}`
}

const decode = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
