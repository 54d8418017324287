// What of the registry behind the image store is ours to remove? Manifests that a tag of this installation names, unless
// a tag of somebody else names them too: deleting a manifest takes all of its tags along.
import { type Digest, digest } from '@longshore/protocol'
import { ImageError } from '../../core/images/image-error.ts'
import { acceptedManifests } from '../../core/images/read-manifest.ts'
import { readStoreTag } from '../../core/images/store-address.ts'
import type { AskStore } from './ask-store.ts'

const maxListBytes = 16 * 1024 * 1024
const maxPages = 1000

/** @throws ImageError `STORE_UNAVAILABLE`, `STORE_CORRUPT` */
export const listStoreTags = async (store: AskStore, installation: string): Promise<Digest[]> => {
  const ours = new Set<Digest>()
  const others = new Set<Digest>()
  for (const tag of await listTags(store)) {
    const read = readStoreTag(tag)
    if (read?.installation === installation) ours.add(read.digest)
    else {
      const named = read?.digest ?? (await resolve(store, tag))
      if (named !== undefined) others.add(named)
    }
  }
  return [...ours].filter((one) => !others.has(one))
}

const listTags = async (store: AskStore): Promise<string[]> => {
  const tags: string[] = []
  let at: string | URL = 'tags/list?n=1000'
  for (let page = 0; page < maxPages; page += 1) {
    const answer = await store.ask({ at })
    if (answer.statusCode === 404) {
      // nothing was ever pushed
      answer.destroy()
      return tags
    }
    if (answer.statusCode !== 200) throw (await store.refusalOf(answer)).error
    tags.push(...readTags((await store.read(answer, maxListBytes)).toString('utf8')))
    const [, next] = /<([^>]+)>\s*;\s*rel="?next"?/i.exec(String(answer.headers['link'] ?? '')) ?? []
    if (next === undefined) return tags
    at = store.addressOf(next)
  }
  throw new ImageError('STORE_CORRUPT', 'the registry behind the image store lists tags without an end')
}

const readTags = (body: string): string[] => {
  try {
    const { tags } = JSON.parse(body) as { tags?: unknown }
    if (tags === null || tags === undefined) return []
    if (Array.isArray(tags)) return tags.map(String)
  } catch {
    // told below
  }
  throw new ImageError('STORE_CORRUPT', 'the registry behind the image store gave no list of tags')
}

/** @returns undefined when the tag has gone meanwhile */
const resolve = async (store: AskStore, tag: string): Promise<Digest | undefined> => {
  const at = `manifests/${encodeURIComponent(tag)}`
  const answer = await store.ask({ method: 'HEAD', at, headers: { accept: acceptedManifests } })
  if (answer.statusCode !== 200 && answer.statusCode !== 404) throw (await store.refusalOf(answer)).error
  answer.destroy()
  if (answer.statusCode === 404) return undefined
  const named = answer.headers['docker-content-digest']
  if (named === undefined)
    throw new ImageError(
      'STORE_UNAVAILABLE',
      `the registry behind the image store does not say what ${tag} is`
    )
  // an algorithm that we do not use names nothing of ours
  return digest.safeParse(named).data
}
