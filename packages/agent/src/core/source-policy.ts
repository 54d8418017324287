// Which sources of an image this host's policy allows. `repositories` names what may run here and where that comes from:
// a mirror is another place, and so is the controller's store, which holds whatever somebody pushed to it.
import type { ImageSource } from '@longshore/protocol'
import { failureOf, repositoryAt } from './image-sources.ts'
import { matchesRepository, type PolicyState, says } from './policy.ts'
import type { UsableSources } from './steps.ts'

/** What is refused stands in the report beside what failed. */
export const splitSources = (
  state: PolicyState,
  repository: string,
  sources: readonly ImageSource[]
): UsableSources => {
  const judged = sources.map((source) => ({ source, refusal: refuseSource(state, repository, source) }))
  return {
    allowed: judged.flatMap(({ source, refusal }) => (refusal === null ? [source] : [])),
    refused: judged.flatMap(({ source, refusal }) =>
      refusal === null ? [] : [failureOf(source, 'policy', refusal)]
    )
  }
}

const refuseSource = (state: PolicyState, repository: string, source: ImageSource): string | null => {
  if (state.kind !== 'active') return null
  const { repositories, allow } = state.policy
  if (repositories === undefined) return null
  if (source.kind === 'artifact') return allow.artifacts ? null : says("images of the controller's store")
  const name = repositoryAt(source, repository)
  return repositories.some((one) => matchesRepository(one, name)) ? null : says(`the repository ${name}`)
}
