// Every setting of the controller, once: checked here, documented in docs/controller.md.
import * as z from 'zod'

/** Without a prefix length: one address. Names of proxy-addr (`loopback`, ...) are fine too. */
const proxy = z
  .string()
  .regex(/^(?:loopback|linklocal|uniquelocal|[0-9a-fA-F:.]+(?:\/\d{1,3})?)$/, 'expected an address or a CIDR')

export const initSettings = z.strictObject({ dataDir: z.string().min(1) })
export type InitOptions = z.input<typeof initSettings>

/** The default of `--keep-free`. */
export const defaultKeepFreeBytes = 256 * 1024 * 1024

export const startSettings = z.strictObject({
  dataDir: z.string().min(1),
  /** HOST:PORT; port 0 lets the system choose. An IPv6 address stands in brackets. */
  listen: z.string().default('127.0.0.1:7300').transform(parseListen),
  trustedProxies: z.array(proxy).default([]),
  /** Paths of PEM files; read again whenever they change. */
  tls: z.strictObject({ cert: z.string(), key: z.string() }).optional(),
  /** PEM file of the authorities to trust when webhooks are sent, instead of the system's. */
  caFile: z.string().min(1).optional(),
  /** Webhooks may go to any address over plain http. */
  allowPlaintext: z.boolean().default(false),
  logLevel: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
  /** A host whose session has been gone for this long during a switch is lost. */
  lostAfterMs: z.int().min(1000).default(60_000),
  /** A paused deployment that nobody decides on goes back after this. */
  pauseLimitMs: z.int().min(1000).default(3_600_000),
  /** Images that nothing needs, and uploads that nobody goes on with, are removed after this. */
  imageGraceMs: z.int().min(1000).default(86_400_000),
  /** Images leave so much of the disk to everything else. */
  keepFreeBytes: z.int().min(0).default(defaultKeepFreeBytes)
})
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

function parseListen(text: string, context: z.RefinementCtx): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null || port > 65_535) {
    context.addIssue('expected HOST:PORT, for example 0.0.0.0:7300')
    return z.NEVER
  }
  return { host: parts[1] ?? (parts[2] || '0.0.0.0'), port }
}
