// The tables as Kysely sees them, and how a row of the ports becomes a row of the database: objects as JSON text,
// booleans as 0 and 1, everything else as it is. The rows are our own: what is read was written here.
import type { AuditEntry } from '@longshore/protocol'
import type { ImageLinkRow, ImageManifestRow, ImageTagRow } from '../../image-ports.ts'
import type {
  AgentRow,
  ApiTokenRow,
  ConvergenceRow,
  CurrentReleaseRow,
  DeploymentRow,
  DeploymentServiceRow,
  EnvironmentRow,
  FreezeRow,
  IdempotencyKeyRow,
  IssuerRow,
  JoinTokenRow,
  LockRow,
  LostHostRow,
  NotificationRow,
  OutboxRow,
  RegistryLoginRow,
  ReleaseRow,
  SpecRow,
  WebhookRow
} from '../../ports.ts'

/** Ids and closed sets are text to the database. */
type Column<Value> = Value extends string ? string : Value
/** A row with the columns J as JSON text and the columns B as 0 or 1. */
type Kept<Row, J extends keyof Row = never, B extends keyof Row = never> = {
  [Name in keyof Row]: Name extends J ? string : Name extends B ? 0 | 1 : Column<Row[Name]>
}

export type Tables = {
  schema_version: { number: number; name: string; appliedAtMs: number }
  installation: { only: number; id: string }
  keys: { number: number; jws: string }
  environments: Kept<EnvironmentRow, 'sources', 'heal'>
  agents: Kept<AgentRow, 'publicJwk' | 'encryptionJwk' | 'labels' | 'facts' | 'policy'>
  join_tokens: Kept<JoinTokenRow, 'labels', 'replace'>
  api_tokens: Kept<ApiTokenRow, 'allow'>
  issuers: Kept<IssuerRow, 'rules' | 'signIn'>
  specs: Kept<SpecRow, 'spec'>
  releases: Kept<ReleaseRow>
  deployments: Kept<DeploymentRow, 'what' | 'state'>
  deployment_services: Kept<DeploymentServiceRow>
  current_releases: Kept<CurrentReleaseRow>
  deployment_events: { deployment: string; number: number; event: string }
  lease: { only: number; owner: string; epoch: number; leaseUntilMs: number }
  locks: Kept<LockRow>
  convergences: Kept<ConvergenceRow, never, 'servedNothing'>
  /** Service '' stands for all of them: a key has no NULL. */
  freezes: Omit<Kept<FreezeRow>, 'service'> & { service: string }
  idempotency_keys: Kept<IdempotencyKeyRow>
  counters: { service: string; environment: string; generation: number; release: number; heard: number }
  outbox: Kept<OutboxRow, 'fence' | 'needs'>
  audit: Kept<AuditEntry, 'request'>
  webhooks: Kept<WebhookRow, 'environments' | 'events' | 'lastTry'>
  notifications: Kept<NotificationRow, 'notice'>
  lost_hosts: Kept<LostHostRow>
  registry_logins: Kept<RegistryLoginRow>
  image_manifests: Kept<ImageManifestRow>
  image_links: Kept<ImageLinkRow>
  image_tags: Kept<ImageTagRow>
}

export type Codec<Row, Stored> = { encode(row: Row): Stored; decode(stored: Stored): Row }

const codecOf = <Row extends object, J extends keyof Row & string, B extends keyof Row & string = never>(
  json: readonly J[],
  flags: readonly B[] = []
): Codec<Row, Kept<Row, J, B>> => {
  const convert = (row: object, ofJson: (value: unknown) => unknown, ofFlag: (value: unknown) => unknown) => {
    const columns: Record<string, unknown> = { ...row }
    for (const column of json) columns[column] = ofJson(columns[column])
    for (const column of flags) columns[column] = ofFlag(columns[column])
    return columns
  }
  const fromFlag = (value: unknown) => (value === true ? 1 : 0)
  // The two casts are this file's reason to exist: Kept<> above says exactly what the loops do.
  return {
    encode: (row) => convert(row, JSON.stringify, fromFlag) as Kept<Row, J, B>,
    decode: (stored) =>
      convert(
        stored,
        (value) => JSON.parse(String(value)),
        (value) => value === 1
      ) as Row
  }
}

export const environmentCodec = codecOf<EnvironmentRow, 'sources', 'heal'>(['sources'], ['heal'])
export const releaseCodec = codecOf<ReleaseRow, never>([])
export const deploymentServiceCodec = codecOf<DeploymentServiceRow, never>([])
export const currentReleaseCodec = codecOf<CurrentReleaseRow, never>([])
export const lockCodec = codecOf<LockRow, never>([])
export const convergenceCodec = codecOf<ConvergenceRow, never, 'servedNothing'>([], ['servedNothing'])
export const idempotencyKeyCodec = codecOf<IdempotencyKeyRow, never>([])
export const freezeCodec: Codec<FreezeRow, Tables['freezes']> = {
  encode: (row) => ({ ...row, service: row.service ?? '' }),
  decode: (stored) => ({ ...stored, service: stored.service === '' ? null : stored.service }) as FreezeRow
}
export const agentCodec = codecOf<AgentRow, 'publicJwk' | 'encryptionJwk' | 'labels' | 'facts' | 'policy'>([
  'publicJwk',
  'encryptionJwk',
  'labels',
  'facts',
  'policy'
])
export const joinTokenCodec = codecOf<JoinTokenRow, 'labels', 'replace'>(['labels'], ['replace'])
export const apiTokenCodec = codecOf<ApiTokenRow, 'allow'>(['allow'])
export const issuerCodec = codecOf<IssuerRow, 'rules' | 'signIn'>(['rules', 'signIn'])
export const specCodec = codecOf<SpecRow, 'spec'>(['spec'])
export const deploymentCodec = codecOf<DeploymentRow, 'what' | 'state'>(['what', 'state'])
export const outboxCodec = codecOf<OutboxRow, 'fence' | 'needs'>(['fence', 'needs'])
export const auditCodec = codecOf<AuditEntry, 'request'>(['request'])
export const webhookCodec = codecOf<WebhookRow, 'environments' | 'events' | 'lastTry'>([
  'environments',
  'events',
  'lastTry'
])
export const notificationCodec = codecOf<NotificationRow, 'notice'>(['notice'])
export const lostHostCodec = codecOf<LostHostRow, never>([])
export const registryLoginCodec = codecOf<RegistryLoginRow, never>([])
export const imageManifestCodec = codecOf<ImageManifestRow, never>([])
export const imageTagCodec = codecOf<ImageTagRow, never>([])
