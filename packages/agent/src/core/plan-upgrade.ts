// The steps by which the agent becomes another version of itself: its program is fetched as any image is, tried beside
// the running one, and only then given the place. No container of a service has a part in it.
import type { UpgradeBody } from '@longshore/protocol'
import { ownTag } from './image-match.ts'
import type { Plan, Task } from './plan.ts'

export const planUpgrade = (
  { command, sources, minFreeBytes }: Task,
  { image, release }: UpgradeBody
): Extract<Plan, { kind: 'plan' }> => {
  const wanted = { repository: image.repository, digest: image.digest, platform: null }
  const keepAs = ownTag(command.service, command.environment, release)
  const plan = sources && { sources, contents: [], keepAs, minFreeBytes }
  return {
    kind: 'plan',
    steps: [
      { kind: 'check-disk', minFreeBytes },
      { kind: 'fetch-image', ...wanted, tag: image.tag, pullPolicy: 'missing', ...(plan && { plan }) },
      { kind: 'take-agent', image: wanted },
      { kind: 'try-agent', image: image.digest },
      { kind: 'hand-over', image: image.digest }
    ],
    undo: [],
    before: { serving: 'old', release: null },
    after: { serving: 'new', release: null },
    record: null,
    isUntouched: false,
    warnings: []
  }
}
