// Which sources of images failed lately, for the runs of this process. What follows from it is core/image-sources.ts;
// nothing needs it to survive.
import { type FailedAt, orderSources, sourceKey, triedLastMs } from './core/image-sources.ts'
import type { Clock, SourceMemory } from './ports.ts'

export const createSourceMemory = (clock: Pick<Clock, 'monotonicMs'>): SourceMemory => {
  const failedAt = new Map<string, number>()
  const forgetOld = (nowMs: number): FailedAt => {
    for (const [key, atMs] of failedAt) if (nowMs - atMs >= triedLastMs) failedAt.delete(key)
    return failedAt
  }
  return {
    inOrder: (sources, repository) => {
      const nowMs = clock.monotonicMs()
      return orderSources(sources, repository, forgetOld(nowMs), nowMs)
    },
    failed: (source, repository) => {
      failedAt.set(sourceKey(source, repository), clock.monotonicMs())
    },
    served: (source, repository) => {
      failedAt.delete(sourceKey(source, repository))
    }
  }
}
