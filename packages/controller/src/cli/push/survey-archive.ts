// What is in an archive of an image? Every file with its digest and size, links, and the text of the small files that
// say what the others are. The first of two readings; see walk-archive.ts.
import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import { walkArchive } from './walk-archive.ts'

export type SurveyedFile = { digest: string; sizeBytes: number; isGzip: boolean }
export type Survey = {
  files: ReadonlyMap<string, SurveyedFile>
  /** From a path to the one that it stands for: `docker save` writes a layer that comes twice once. */
  links: ReadonlyMap<string, string>
  /** Manifests, indexes, configurations. */
  texts: ReadonlyMap<string, string>
}

/** As large as manifests and configurations may be. */
const maxTextBytes = 4 * 1024 * 1024
const maxTexts = 2000
const openingBrace = 0x7b
/** RFC 1952, section 2.3.1. */
export const gzipMagic = Buffer.from([0x1f, 0x8b])

/** A folder before a name does not matter: some tools write `./manifest.json`. */
export const pathOf = (name: string): string => posix.normalize(name).replace(/^(?:\.?\/)+/, '')

/** @throws CliError image-unreadable */
export async function surveyArchive(source: Readable): Promise<Survey> {
  const files = new Map<string, SurveyedFile>()
  const links = new Map<string, string>()
  const texts = new Map<string, string>()
  await walkArchive(source, async (header, content) => {
    const path = pathOf(header.name)
    const { type, linkname } = header
    if (linkname && (type === 'symlink' || type === 'link')) {
      links.set(path, pathOf(type === 'link' ? linkname : posix.join(posix.dirname(path), linkname)))
    }
    if (type !== 'file' && type !== 'contiguous-file') return 'next'
    const read = await readFile(content, mayBeText(path) && (header.size ?? 0) <= maxTextBytes)
    files.set(path, read)
    if (read.text !== undefined && texts.size < maxTexts) texts.set(path, read.text)
    return 'next'
  })
  return { files, links, texts }
}

const mayBeText = (path: string): boolean =>
  /\.json$|^oci-layout$/.test(path) || /^blobs\/sha256\/[0-9a-f]{64}$/.test(path)

const readFile = async (
  content: AsyncIterable<Buffer>,
  isKept: boolean
): Promise<SurveyedFile & { text?: string }> => {
  const hash = createHash('sha256')
  let beginning = Buffer.alloc(0)
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of content) {
    hash.update(chunk)
    if (isKept) chunks.push(chunk)
    if (beginning.length < gzipMagic.length) beginning = Buffer.concat([beginning, chunk.subarray(0, 2)])
    sizeBytes += chunk.length
  }
  const kept = Buffer.concat(chunks)
  return {
    digest: `sha256:${hash.digest('hex')}`,
    sizeBytes,
    isGzip: beginning.subarray(0, 2).equals(gzipMagic),
    ...(kept[0] === openingBrace || kept[0] === 0x5b ? { text: kept.toString('utf8') } : {})
  }
}
