// Which view an address names, after its `#`. What nobody knows is the fleet.

export type Route =
  | { readonly view: 'fleet' }
  | { readonly view: 'host'; readonly id: string }
  | { readonly view: 'deployments' }
  | { readonly view: 'deployment'; readonly id: string }
  | { readonly view: 'service'; readonly environment: string; readonly service: string }
  | { readonly view: 'audit' }
  | { readonly view: 'tokens' }

export const readRoute = (hash: string): Route => {
  const [view, ...parts] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decode)
  const [first, second] = parts
  if (view === 'hosts' && first) return { view: 'host', id: first }
  if (view === 'deployments') return first ? { view: 'deployment', id: first } : { view }
  if (view === 'services' && first && second) return { view: 'service', environment: first, service: second }
  if (view === 'audit' || view === 'tokens') return { view }
  return { view: 'fleet' }
}

export const addressOf = (route: Route): string => {
  const parts = (): string[] => {
    switch (route.view) {
      case 'host':
        return ['hosts', route.id]
      case 'deployment':
        return ['deployments', route.id]
      case 'service':
        return ['services', route.environment, route.service]
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
