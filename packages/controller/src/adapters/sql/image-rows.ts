// What refers to what in the image store: manifests, their links, tags. Read and written; the content of blobs lies in
// files.
import type { Kysely } from 'kysely'
import type { ImageLinkRow, ImageReads, ImageTagRow, ImageWrites } from '../../image-ports.ts'
import { many, one } from './run-query.ts'
import { imageManifestCodec, imageTagCodec, type Tables } from './tables.ts'

export const imageReads = (db: Kysely<Tables>) =>
  ({
    imageManifest: (repository, digest) =>
      one(
        imageManifestCodec,
        db
          .selectFrom('image_manifests')
          .selectAll()
          .where('repository', '=', repository)
          .where('digest', '=', digest)
      ),
    imageManifests: async () => {
      const columns = ['repository', 'digest', 'mediaType', 'sizeBytes', 'createdAtMs'] as const
      const rows = await db.selectFrom('image_manifests').select(columns).execute()
      return rows.map((row) => imageManifestCodec.decode({ ...row, content: '' }))
    },
    imageTag: (repository, tag) =>
      one(
        imageTagCodec,
        db.selectFrom('image_tags').selectAll().where('repository', '=', repository).where('tag', '=', tag)
      ),
    imageTags: ({ repository, after, limit }): Promise<ImageTagRow[]> => {
      let query = db.selectFrom('image_tags').selectAll()
      if (repository !== undefined) query = query.where('repository', '=', repository)
      if (after !== undefined) query = query.where('tag', '>', after)
      if (limit !== undefined) query = query.limit(limit)
      return many(imageTagCodec, query.orderBy('repository').orderBy('tag'))
    },
    imageLinks: async (kind): Promise<ImageLinkRow[]> =>
      (await db.selectFrom('image_links').selectAll().where('kind', '=', kind).execute()) as ImageLinkRow[]
  }) satisfies ImageReads

export const imageWrites = (db: Kysely<Tables>) =>
  ({
    putImageManifest: async (row, links) => {
      const values = imageManifestCodec.encode(row)
      await db
        .insertInto('image_manifests')
        .values(values)
        .onConflict((conflict) => conflict.columns(['repository', 'digest']).doUpdateSet(values))
        .execute()
      for (const link of links) {
        await db
          .insertInto('image_links')
          .values(link)
          .onConflict((conflict) => conflict.columns(['repository', 'manifest', 'child']).doNothing())
          .execute()
      }
    },
    deleteImageManifest: async (repository, digest) => {
      await db
        .deleteFrom('image_tags')
        .where('repository', '=', repository)
        .where('digest', '=', digest)
        .execute()
      await db
        .deleteFrom('image_links')
        .where('repository', '=', repository)
        .where('manifest', '=', digest)
        .execute()
      await db
        .deleteFrom('image_manifests')
        .where('repository', '=', repository)
        .where('digest', '=', digest)
        .execute()
    },
    putImageTag: async (row) => {
      const values = imageTagCodec.encode(row)
      await db
        .insertInto('image_tags')
        .values(values)
        .onConflict((conflict) => conflict.columns(['repository', 'tag']).doUpdateSet(values))
        .execute()
    },
    deleteImageTag: async (repository, tag) => {
      await db.deleteFrom('image_tags').where('repository', '=', repository).where('tag', '=', tag).execute()
    }
  }) satisfies ImageWrites
