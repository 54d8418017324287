// Which kinds of identifier exist, and what may stand in one. Making ids is left to the adapters: nothing
// in this package draws random numbers except the key and nonce functions.
import * as z from 'zod'

/** RFC 7638 thumbprint: SHA-256 in base64url, 43 characters. */
export const thumbprint = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/)
  .brand('Thumbprint')
export type Thumbprint = z.infer<typeof thumbprint>

/** A prefix that says the kind, then 20 characters of lower-case base32hex (100 bits). */
const idOf = <K extends string>(prefix: K) => z.string().regex(new RegExp(`^${prefix}_[0-9a-v]{20}$`))

export const installationId = idOf('ins').brand('InstallationId')
export const agentId = idOf('agt').brand('AgentId')
export const deploymentId = idOf('dep').brand('DeploymentId')
export const commandId = idOf('cmd').brand('CommandId')
export const tokenId = idOf('tok').brand('TokenId')
export const webhookId = idOf('whk').brand('WebhookId')
export const notificationId = idOf('msg').brand('NotificationId')
export type InstallationId = z.infer<typeof installationId>
export type AgentId = z.infer<typeof agentId>
export type DeploymentId = z.infer<typeof deploymentId>
export type CommandId = z.infer<typeof commandId>
export type TokenId = z.infer<typeof tokenId>
export type WebhookId = z.infer<typeof webhookId>
export type NotificationId = z.infer<typeof notificationId>

/** SHA-256 over client nonce and server nonce, base64url. */
export const sessionId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/)
  .brand('SessionId')
export type SessionId = z.infer<typeof sessionId>

/** 128 random bits in base64url. */
export const nonce = z.string().regex(/^[A-Za-z0-9_-]{22}$/)

/** Names that people choose: what DNS labels, Docker names and paths all accept. */
const label = z.string().regex(/^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/)
export const serviceName = label.brand('ServiceName')
export const environmentName = label.brand('EnvironmentName')
export type ServiceName = z.infer<typeof serviceName>
export type EnvironmentName = z.infer<typeof environmentName>

/** RFC 1123 host name. */
export const hostName = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/)
export const labels = z.record(z.string().regex(/^[A-Za-z0-9_./-]{1,63}$/), z.string().max(255))
export type Labels = z.infer<typeof labels>

/** OCI digest; only sha256 is accepted. */
export const digest = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/)
  .brand('Digest')
export type Digest = z.infer<typeof digest>

/** Counts upwards per service and environment, from 1. */
export const releaseNumber = z.int().min(1).max(1_000_000_000)

export type IdPrefix = 'ins' | 'agt' | 'dep' | 'cmd' | 'tok' | 'whk' | 'msg' | 'ctl'

/**
 * Writes 100 bits as an id.
 * @param bytes 13 bytes or more from a cryptographic source; only the first 100 bits are used
 */
export const formatId = <T extends string>(prefix: IdPrefix, bytes: Uint8Array): T => {
  if (bytes.length < 13) throw new RangeError('an id needs 13 random bytes')
  let bits = 0n
  for (const byte of bytes.subarray(0, 13)) bits = (bits << 8n) | BigInt(byte)
  const text = (bits >> 4n).toString(32).padStart(20, '0')
  return `${prefix}_${text}` as T
}
