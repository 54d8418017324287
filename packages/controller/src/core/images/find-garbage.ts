// Which manifests may go? All that no tag and no kept release needs, and that have been there for a while: one that was
// pushed just now may get its tag, or its index, any moment. The files of blobs follow from this.
import type { Digest } from '@longshore/protocol'

/** A manifest in its repository. */
export type Held = { repository: string; digest: Digest }

export type Holdings = {
  manifests: readonly (Held & { createdAtMs: number })[]
  /** From an index to each of its manifests. */
  children: readonly { repository: string; manifest: Digest; child: Digest }[]
  tagged: readonly Held[]
  /** Of releases that run or may be gone back to. */
  kept: readonly Held[]
}

const keyOf = ({ repository, digest }: Held): string => `${repository}@${digest}`

/** @param beforeMs what is younger stays */
export const findGarbage = (holdings: Holdings, beforeMs: number): Held[] => {
  const { manifests, children, tagged, kept } = holdings
  const young = manifests.filter(({ createdAtMs }) => createdAtMs >= beforeMs)
  const childrenOf = Map.groupBy(children, ({ repository, manifest }) =>
    keyOf({ repository, digest: manifest })
  )
  const needed = new Set<string>()
  const waiting: Held[] = [...tagged, ...kept, ...young]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const key = keyOf(next)
    if (needed.has(key)) continue
    needed.add(key)
    const below = childrenOf.get(key) ?? []
    waiting.push(...below.map(({ repository, child }) => ({ repository, digest: child })))
  }
  return manifests
    .filter((one) => !needed.has(keyOf(one)))
    .map(({ repository, digest }) => ({ repository, digest }))
}
