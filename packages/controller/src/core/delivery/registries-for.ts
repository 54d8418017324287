// Of which registries may a host need credentials for a command? Only `resolve`, `stage` and `upgrade` ask registries.
import { type ImageSource, imageSources, registryOf, registrySource } from '@longshore/protocol'
import * as z from 'zod'

/** What is read of a body; the rest of it does not matter here. */
export const pullingBody = z.object({
  kind: z.string(),
  image: z.object({ repository: z.string() }).optional(),
  sources: imageSources.default([registrySource])
})

const asking: ReadonlySet<string> = new Set(['resolve', 'stage', 'upgrade'])

/** @returns names as registry-name.ts has them, in the order of the sources, each once */
export const registriesFor = ({ kind, image, sources }: z.infer<typeof pullingBody>): string[] => {
  if (image === undefined || !asking.has(kind)) return []
  return [...new Set(sources.flatMap((source) => registryAt(source, image.repository) ?? []))]
}

const registryAt = (source: ImageSource, repository: string): string | undefined => {
  switch (source.kind) {
    case 'registry':
      return registryOf(repository)
    case 'mirror':
      return registryOf(`${source.at}/x`)
    case 'artifact':
      return undefined
    default:
      return source satisfies never
  }
}
