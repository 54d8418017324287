// `x-longshore.sources`: where the image of a service may come from, in order. An item is the word `registry` or
// `artifact`, or a map that names a mirror.
import { type ImageSource, isMirrorPlace, registrySource, sourceText } from '../image-source.ts'
import { maxImageSources } from '../limits.ts'
import { type Cursor, complain, fieldsOf, itemsOrOne, parseWith, ValueError } from './read-value.ts'

export const sourceKeys = ['mirror'] as const

/** The same one said twice, as after a merge of files, counts where it stands first. */
export const readSources = (cursor: Cursor): ImageSource[] => {
  const sources = new Map<string, ImageSource>()
  for (const item of itemsOrOne(cursor)) {
    const source = readSource(item)
    if (!sources.has(sourceText(source))) sources.set(sourceText(source), source)
  }
  if (sources.size === 0) complain(cursor, 'an image needs at least one source', 'missing-key')
  if (sources.size > maxImageSources) complain(cursor, `at most ${String(maxImageSources)} sources are tried`)
  return [...sources.values()]
}

const readSource = (cursor: Cursor): ImageSource => {
  if (cursor.node.kind === 'scalar') return parseWith(cursor, readWord, registrySource)
  const { mirror } = fieldsOf(cursor, sourceKeys)
  if (mirror !== undefined) return { kind: 'mirror', at: parseWith(mirror, readMirrorPlace, '-') }
  complain(cursor, 'a source is registry, artifact, or mirror with its host', 'missing-key')
  return registrySource
}

/** @throws ValueError */
const readWord = (text: string): ImageSource => {
  if (text === 'registry' || text === 'artifact') return { kind: text }
  throw new ValueError('expected registry, artifact, or mirror: HOST')
}

/** @throws ValueError */
const readMirrorPlace = (text: string): string => {
  if (isMirrorPlace(text)) return text
  if (text.includes('://')) throw new ValueError('a mirror stands here without https://')
  throw new ValueError(
    'expected a mirror like mirror.example.com or mirror.example.com:5000/hub, in lower case'
  )
}
