// What a backup is: a tar with the files of a data directory, and as its last entry what they are, so that an archive
// that ends too early is known as such. Which files there can be, and what can be wrong with an archive.
import * as z from 'zod'

export const contentsName = 'contents.json'
/** Of this format. A reader takes no other. */
const formatVersion = 1

const digest = z.string().regex(/^[0-9a-f]{64}$/)
export const contents = z.object({
  format: z.literal(formatVersion),
  installation: z.string(),
  version: z.string(),
  madeAtMs: z.int(),
  files: z.array(z.object({ name: z.string(), sizeBytes: z.int(), sha256: digest }))
})
export type Contents = z.infer<typeof contents>
export type ContentFile = Contents['files'][number]

/** Blobs of images by their digest, as image-folder.ts lays them out. */
const blobName = /^images\/blobs\/sha256\/([0-9a-f]{2})\/\1[0-9a-f]{62}$/
const fileNames = ['controller.db', 'signing-key.json', 'sealing-key.json']
/** Nothing else is ever written by a restore. */
export const isOfBackup = (name: string): boolean => fileNames.includes(name) || blobName.test(name)

export const backupErrors = {
  'backup-exists': 'the file is there already',
  'backup-unreadable': 'the archive cannot be restored; nothing was changed',
  'not-empty': 'a backup is restored into an empty directory only',
  'backup-failed': 'the backup could not be made'
} as const satisfies Record<string, string>
export type BackupErrorCode = keyof typeof backupErrors

export class BackupError extends Error {
  override readonly name = 'BackupError'
  readonly code: BackupErrorCode

  constructor(code: BackupErrorCode, detail: string, options?: ErrorOptions) {
    super(`${backupErrors[code]}: ${detail}`, options)
    this.code = code
  }
}
