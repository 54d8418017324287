// What a command says: the machine's order, with image and spec of the release.
import type { CommandBody, Digest, ServiceSpec } from '@longshore/protocol'
import type { Order } from '../deployment/events.ts'

export type ReleaseContent = {
  release: number
  repository: string
  tag: string | null
  digest: Digest | null
  spec: ServiceSpec
  replace: string | null
}

/** @throws TypeError for an order that needs the digest before it is known: the machine never gives one */
export const commandBody = (order: Order, content: ReleaseContent): CommandBody => {
  const { release, spec, replace, repository, tag } = content
  switch (order.kind) {
    case 'resolve':
      return { kind: 'resolve', image: { repository, tag, digest: null } }
    case 'stage':
      return { kind: 'stage', release, image: pinned(content), spec, replace }
    case 'release':
      return { kind: 'release', release, image: pinned(content), spec, replace, recreate: order.recreate }
    case 'revert':
    case 'remove':
    case 'settle':
      return order
    default:
      return order satisfies never
  }
}

const pinned = ({ repository, tag, digest }: ReleaseContent) => {
  if (digest === null) throw new TypeError('an image without a digest is never sent')
  return { repository, tag, digest }
}
