// Where hosts may get the image of a deployment, and who is asked what its tag means. What the service says counts
// before what its environment says, and that before what nobody had to say.
import { artifactSource, type ImageSource, registrySource } from '@longshore/protocol'

/** @param hasArtifact the controller's image store has the image */
export const chooseSources = (said: {
  service: ImageSource[] | null | undefined
  environment: ImageSource[] | null
  hasArtifact: boolean
}): ImageSource[] =>
  said.service ?? said.environment ?? [registrySource, ...(said.hasArtifact ? [artifactSource] : [])]

/** Those that a host's engine can ask: the controller answers for its own store itself. */
export const sourcesOnHosts = (sources: readonly ImageSource[]): ImageSource[] =>
  sources.filter(({ kind }) => kind !== 'artifact')

/** Whether the controller's store is asked before any that only hosts can ask. */
export const isArtifactFirst = ([first]: readonly ImageSource[]): boolean => first?.kind === 'artifact'

/** With the controller's store before all others, once it has the image. */
export const artifactFirst = (sources: readonly ImageSource[] = [registrySource]): ImageSource[] => [
  artifactSource,
  ...sourcesOnHosts(sources)
]
