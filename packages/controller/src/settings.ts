// Every setting of the controller, once: checked here, documented in docs/controller.md.
import * as z from 'zod'
import { isEncryptedOrLocal, readStoreAddress, type StoreAddress } from './core/images/store-address.ts'

/** Without a prefix length: one address. Names of proxy-addr (`loopback`, ...) are fine too. */
const proxy = z
  .string()
  .regex(/^(?:loopback|linklocal|uniquelocal|[0-9a-fA-F:.]+(?:\/\d{1,3})?)$/, 'expected an address or a CIDR')

export const initSettings = z.strictObject({ dataDir: z.string().min(1) })
export type InitOptions = z.input<typeof initSettings>

/** The default of `--keep-free`. */
export const defaultKeepFreeBytes = 256 * 1024 * 1024

const startObject = z.strictObject({
  dataDir: z.string().min(1),
  /** HOST:PORT; port 0 lets the system choose. An IPv6 address stands in brackets. */
  listen: z.string().default('127.0.0.1:7300').transform(parseListen),
  trustedProxies: z.array(proxy).default([]),
  /** Paths of PEM files; read again whenever they change. */
  tls: z.strictObject({ cert: z.string(), key: z.string() }).optional(),
  /** PEM file of the authorities to trust when others are asked over https, instead of the system's. */
  caFile: z.string().min(1).optional(),
  /** Webhooks may go to any address over plain http, and so may images. */
  allowPlaintext: z.boolean().default(false),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
  /** A host whose session has been gone for this long during a switch is lost. */
  lostAfterMs: z.int().min(1000).default(60_000),
  /** A paused deployment that nobody decides on goes back after this. */
  pauseLimitMs: z.int().min(1000).default(3_600_000),
  /** Images that nothing needs, and uploads that nobody goes on with, are removed after this. */
  imageGraceMs: z.int().min(1000).default(86_400_000),
  /** A registry that keeps images, as http(s)://HOST[:PORT][/REPOSITORY], instead of files in the data directory. */
  imageStore: z.string().transform(parseImageStore).optional(),
  /** Images leave so much of the disk to everything else. */
  keepFreeBytes: z.int().min(0).default(defaultKeepFreeBytes)
})
export const startSettings = startObject.refine(
  ({ imageStore, allowPlaintext }) =>
    imageStore === undefined || allowPlaintext || isEncryptedOrLocal(imageStore),
  {
    path: ['imageStore'],
    message:
      'images and their login would travel unencrypted: use https://, or set LONGSHORE_ALLOW_PLAINTEXT=1'
  }
)
export type StartOptions = z.input<typeof startSettings>

export const backupSettings = z.strictObject({
  dataDir: z.string().min(1),
  /** `-`: standard output. */
  file: z.string().min(1),
  /** With the content of images. */
  hasImages: z.boolean().default(false),
  /** A file that is there already is replaced. */
  isOverwritten: z.boolean().default(false)
})
export type BackupOptions = z.input<typeof backupSettings>

export const restoreSettings = z.strictObject({
  dataDir: z.string().min(1),
  /** `-`: standard input. */
  file: z.string().min(1)
})
export type RestoreOptions = z.input<typeof restoreSettings>

export class SettingsError extends Error {
  override readonly name = 'SettingsError'
  readonly code = 'invalid-setting'
}

/** @throws SettingsError naming the setting */
export const readSettings = <S extends z.ZodType>(schema: S, options: unknown): z.output<S> => {
  const read = schema.safeParse(options)
  if (read.success) return read.data
  const found = read.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new SettingsError(found.join('; '))
}

function parseImageStore(text: string, context: z.RefinementCtx): StoreAddress {
  const address = readStoreAddress(text)
  if (address !== undefined) return address
  context.addIssue(
    'expected http(s)://HOST[:PORT][/REPOSITORY], for example https://registry.internal/longshore'
  )
  return z.NEVER
}

function parseListen(text: string, context: z.RefinementCtx): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) {
    context.addIssue('expected HOST:PORT, for example 0.0.0.0:7300')
    return z.NEVER
  }
  return { host: parts[1] ?? (parts[2] || '0.0.0.0'), port }
}
