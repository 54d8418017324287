// Which services does a request name, and what is wanted of each? In the order in which they roll.
import type { ServiceName } from '@longshore/protocol'
import type { DeployRequest, DeployWhat, Verb } from '../../api/schemas.ts'
import type { Need } from '../access/permissions.ts'

export type Wish = { service: ServiceName; what: DeployWhat }

export const wishesOf = ({ service, what, services }: DeployRequest): Wish[] =>
  services?.map((one) => ({ service: one.service, what: one.what ?? what })) ?? [{ service, what }]

/** Every permission that the request asks for; a promotion reads where it takes the release from. */
export const needsOf = (request: DeployRequest): Need[] => {
  const { environment, mode } = request
  if (mode === 'upgrade') return [{ verb: 'agents', environment, service: '*' }]
  return wishesOf(request).flatMap(({ service, what }) => {
    const own: Need = { verb: verbOf(what), environment: request.environment, service }
    return what.by === 'promote' ? [own, { verb: 'read', environment: what.from, service }] : [own]
  })
}

const verbOf = ({ by }: DeployWhat): Verb => {
  switch (by) {
    case 'rollback':
      return 'rollback'
    case 'nothing':
      return 'remove'
    case 'tag':
    case 'digest':
    case 'promote':
    case 'current':
      return 'deploy'
    default:
      return by satisfies never
  }
}
