// How the schema came to be, one numbered step each; a step, once released, never changes. Standard SQL through
// Kysely: what differs between databases comes from the dialect.
import { type CreateTableBuilder, type Kysely, type RawBuilder, sql } from 'kysely'
import { chainFormerEntries } from './audit-rows.ts'
import { addColumns, convertDeployments, fillTables } from './services-migration.ts'
import { StoreError } from './store-errors.ts'
import type { Tables } from './tables.ts'

/** What the dialect says about tables. `whole` holds milliseconds since the epoch (53 bits). */
export type TableDialect = {
  columnTypes: { text: 'text'; whole: 'integer' }
  tableEnd: RawBuilder<unknown>
}
type Migration = {
  number: number
  name: string
  up(db: Kysely<Tables>, dialect: TableDialect): Promise<void>
}

/** Column -> kind: text or whole number; with a question mark it may be NULL. */
type Columns = Record<string, 'text' | 'whole' | 'text?' | 'whole?'>

const createTable = async (
  db: Kysely<Tables>,
  dialect: TableDialect,
  name: keyof Tables,
  key: string[],
  columns: Columns
): Promise<void> => {
  let table: CreateTableBuilder<string, string> = db.schema.createTable(name)
  for (const [column, kind] of Object.entries(columns)) {
    const isNullable = kind.endsWith('?')
    const type = dialect.columnTypes[kind.startsWith('text') ? 'text' : 'whole']
    table = table.addColumn(column, type, (definition) => (isNullable ? definition : definition.notNull()))
  }
  await table.addPrimaryKeyConstraint(`${name}_key`, key).modifyEnd(dialect.tableEnd).execute()
}

const firstTables: [keyof Tables, string[], Columns][] = [
  ['installation', ['only'], { only: 'whole', id: 'text' }],
  ['keys', ['number'], { number: 'whole', jws: 'text' }],
  ['environments', ['name'], { name: 'text', createdAtMs: 'whole' }],
  [
    'agents',
    ['id'],
    {
      id: 'text',
      environment: 'text',
      hostName: 'text',
      thumbprint: 'text',
      publicJwk: 'text',
      encryptionJwk: 'text',
      labels: 'text',
      state: 'text',
      stateReason: 'text?',
      joinToken: 'text',
      enrolledAtMs: 'whole',
      lastSeenAtMs: 'whole?',
      reportsUpTo: 'whole',
      agentVersion: 'text?',
      facts: 'text',
      policy: 'text',
      clockSkewMs: 'whole?'
    }
  ],
  [
    'join_tokens',
    ['id'],
    {
      id: 'text',
      environment: 'text',
      labels: 'text',
      replace: 'whole',
      usesMax: 'whole?',
      usesCount: 'whole',
      createdAtMs: 'whole',
      expiresAtMs: 'whole',
      revokedAtMs: 'whole?'
    }
  ],
  [
    'api_tokens',
    ['id'],
    {
      id: 'text',
      name: 'text',
      allow: 'text',
      createdAtMs: 'whole',
      expiresAtMs: 'whole?',
      lastUsedAtMs: 'whole?',
      revokedAtMs: 'whole?'
    }
  ],
  [
    'specs',
    ['environment', 'service', 'revision'],
    {
      service: 'text',
      environment: 'text',
      revision: 'whole',
      spec: 'text',
      appliedAtMs: 'whole',
      appliedBy: 'text'
    }
  ],
  [
    'releases',
    ['environment', 'service', 'number'],
    {
      service: 'text',
      environment: 'text',
      number: 'whole',
      repository: 'text',
      tag: 'text?',
      digest: 'text?',
      specRevision: 'whole',
      deployment: 'text',
      outcome: 'text?',
      createdAtMs: 'whole',
      createdBy: 'text'
    }
  ],
  [
    'deployments',
    ['id'],
    {
      id: 'text',
      service: 'text',
      environment: 'text',
      what: 'text',
      phase: 'text',
      outcome: 'text?',
      release: 'whole',
      generation: 'whole',
      requestedBy: 'text',
      requestedAtMs: 'whole',
      endedAtMs: 'whole?',
      state: 'text'
    }
  ],
  ['deployment_events', ['deployment', 'number'], { deployment: 'text', number: 'whole', event: 'text' }],
  [
    'locks',
    ['environment', 'service'],
    { service: 'text', environment: 'text', deployment: 'text', holder: 'text', sinceMs: 'whole' }
  ],
  [
    'counters',
    ['environment', 'service'],
    { service: 'text', environment: 'text', generation: 'whole', release: 'whole' }
  ],
  [
    'outbox',
    ['command'],
    {
      command: 'text',
      agent: 'text',
      deployment: 'text',
      kind: 'text',
      fence: 'text',
      jws: 'text',
      notAfterMs: 'whole',
      state: 'text',
      createdAtMs: 'whole',
      endedAtMs: 'whole?'
    }
  ],
  [
    'audit',
    ['number'],
    {
      number: 'whole',
      atMs: 'whole',
      actorKind: 'text',
      actorId: 'text',
      actorName: 'text',
      address: 'text',
      action: 'text',
      subject: 'text',
      request: 'text',
      outcome: 'text'
    }
  ]
]

const webhookTables: [keyof Tables, string[], Columns][] = [
  [
    'webhooks',
    ['id'],
    {
      id: 'text',
      name: 'text',
      format: 'text',
      target: 'text',
      sealed: 'text',
      environments: 'text',
      events: 'text',
      state: 'text',
      reason: 'text?',
      createdAtMs: 'whole',
      createdBy: 'text',
      lastTry: 'text'
    }
  ],
  [
    'notifications',
    ['id'],
    {
      id: 'text',
      webhook: 'text',
      notice: 'text',
      tries: 'whole',
      nextAtMs: 'whole',
      state: 'text',
      lastError: 'text?',
      createdAtMs: 'whole'
    }
  ],
  ['lost_hosts', ['environment', 'host'], { environment: 'text', host: 'text', sinceMs: 'whole' }]
]

const requestTables: [keyof Tables, string[], Columns][] = [
  [
    'freezes',
    ['environment', 'service'],
    { environment: 'text', service: 'text', holder: 'text', reason: 'text', sinceMs: 'whole' }
  ],
  [
    'idempotency_keys',
    ['environment', 'key'],
    {
      environment: 'text',
      key: 'text',
      request: 'text',
      first: 'text',
      deployment: 'text',
      createdAtMs: 'whole'
    }
  ]
]

const deploymentTables: [keyof Tables, string[], Columns][] = [
  [
    'deployment_services',
    ['deployment', 'service'],
    { deployment: 'text', environment: 'text', service: 'text', release: 'whole', generation: 'whole' }
  ],
  [
    'current_releases',
    ['environment', 'service'],
    {
      environment: 'text',
      service: 'text',
      release: 'whole?',
      generation: 'whole',
      deployment: 'text',
      sinceMs: 'whole'
    }
  ]
]

const registryLoginColumns: Columns = {
  host: 'text',
  username: 'text?',
  sealed: 'text?',
  helper: 'text?',
  setAtMs: 'whole',
  setBy: 'text'
}

const issuerColumns: Columns = {
  name: 'text',
  url: 'text',
  audience: 'text',
  maxAgeMs: 'whole',
  rules: 'text',
  setAtMs: 'whole',
  setBy: 'text'
}

const imageTables: [keyof Tables, string[], Columns][] = [
  [
    'image_manifests',
    ['repository', 'digest'],
    {
      repository: 'text',
      digest: 'text',
      mediaType: 'text',
      content: 'text',
      sizeBytes: 'whole',
      createdAtMs: 'whole'
    }
  ],
  [
    'image_links',
    ['repository', 'manifest', 'child'],
    { repository: 'text', manifest: 'text', child: 'text', kind: 'text' }
  ],
  [
    'image_tags',
    ['repository', 'tag'],
    { repository: 'text', tag: 'text', digest: 'text', pushedAtMs: 'whole' }
  ]
]

const migrations: readonly Migration[] = [
  {
    number: 1,
    name: 'first tables',
    up: async (db, dialect) => {
      for (const [name, key, columns] of firstTables) await createTable(db, dialect, name, key, columns)
      const indexOf = (table: keyof Tables, ...columns: string[]) =>
        db.schema
          .createIndex(`${table}_${columns.join('_')}`)
          .on(table)
          .columns(columns)
          .execute()
      await indexOf('agents', 'thumbprint')
      await indexOf('deployments', 'environment', 'service', 'generation')
      await indexOf('deployments', 'endedAtMs')
      await indexOf('outbox', 'agent', 'state')
      await indexOf('outbox', 'deployment')
    }
  },
  {
    number: 2,
    name: 'webhooks',
    up: async (db, dialect) => {
      for (const [name, key, columns] of webhookTables) await createTable(db, dialect, name, key, columns)
      await db.schema
        .createIndex('notifications_webhook_state_nextAtMs')
        .on('notifications')
        .columns(['webhook', 'state', 'nextAtMs'])
        .execute()
    }
  },
  {
    number: 3,
    name: 'freezes and idempotency keys',
    up: async (db, dialect) => {
      for (const [name, key, columns] of requestTables) await createTable(db, dialect, name, key, columns)
    }
  },
  {
    number: 4,
    name: 'several services in a deployment, locks as leases',
    up: async (db, dialect) => {
      for (const [name, key, columns] of deploymentTables) await createTable(db, dialect, name, key, columns)
      await db.schema
        .createIndex('deployment_services_environment_service')
        .on('deployment_services')
        .columns(['environment', 'service'])
        .execute()
      await addColumns(db, dialect.columnTypes)
      await fillTables(db)
      await convertDeployments(db)
    }
  },
  {
    number: 5,
    name: 'settings of environments',
    up: async (db, { columnTypes }) => {
      const table = db.schema.alterTable('environments')
      await table.addColumn('heal', columnTypes.whole, (column) => column.notNull().defaultTo(0)).execute()
      await table.addColumn('promotesFrom', columnTypes.text).execute()
    }
  },
  {
    number: 6,
    name: 'convergences',
    up: (db, dialect) =>
      createTable(db, dialect, 'convergences', ['environment', 'service', 'agent'], {
        environment: 'text',
        service: 'text',
        agent: 'text',
        release: 'whole?',
        generation: 'whole',
        tries: 'whole',
        deployment: 'text?',
        nextAtMs: 'whole?',
        endedAtMs: 'whole?',
        reason: 'text?'
      })
  },
  {
    number: 7,
    name: 'the lease of the controller',
    up: (db, dialect) =>
      createTable(db, dialect, 'lease', ['only'], {
        only: 'whole',
        owner: 'text',
        epoch: 'whole',
        leaseUntilMs: 'whole'
      })
  },
  {
    number: 8,
    name: 'deployments that only hosts know of',
    up: (db, { columnTypes }) =>
      db.schema
        .alterTable('counters')
        .addColumn('heard', columnTypes.whole, (column) => column.notNull().defaultTo(0))
        .execute()
  },
  {
    number: 9,
    name: 'what ran on a host when it began to converge',
    up: (db, { columnTypes }) =>
      db.schema
        .alterTable('convergences')
        .addColumn('servedNothing', columnTypes.whole, (column) => column.notNull().defaultTo(0))
        .execute()
  },
  {
    number: 10,
    name: 'what an agent has to be able to do for a command, beside the kind of it',
    up: async (db, { columnTypes }) => {
      await db.schema
        .alterTable('outbox')
        .addColumn('needs', columnTypes.text, (column) => column.notNull().defaultTo('[]'))
        .execute()
      const rows = await db.selectFrom('outbox').select('kind').distinct().execute()
      // One column said both until now.
      for (const stored of rows.map(({ kind }): string => kind)) {
        const kind = stored === 'remove-containers' ? 'remove' : stored
        await sql`update outbox set kind = ${kind}, needs = ${JSON.stringify([stored])} where kind = ${stored}`.execute(
          db
        )
      }
    }
  },
  {
    number: 11,
    name: 'images',
    up: async (db, dialect) => {
      for (const [name, key, columns] of imageTables) await createTable(db, dialect, name, key, columns)
    }
  },
  {
    number: 12,
    name: 'where the images of an environment come from',
    up: (db, { columnTypes }) =>
      db.schema
        .alterTable('environments')
        .addColumn('sources', columnTypes.text, (column) => column.notNull().defaultTo('null'))
        .execute()
  },
  {
    number: 13,
    name: 'credentials of registries',
    up: (db, dialect) => createTable(db, dialect, 'registry_logins', ['host'], registryLoginColumns)
  },
  {
    number: 14,
    name: 'the audit as a chain',
    up: async (db, { columnTypes }) => {
      const table = db.schema.alterTable('audit')
      await table.addColumn('evidence', columnTypes.text).execute()
      await table.addColumn('hash', columnTypes.text, (column) => column.notNull().defaultTo('')).execute()
      await chainFormerEntries(db)
    }
  },
  {
    number: 15,
    name: 'issuers of ID tokens',
    up: (db, dialect) => createTable(db, dialect, 'issuers', ['name'], issuerColumns)
  },
  {
    number: 16,
    name: 'clients with which people sign in',
    up: (db, { columnTypes }) =>
      db.schema
        .alterTable('issuers')
        .addColumn('signIn', columnTypes.text, (column) => column.notNull().defaultTo('null'))
        .execute()
  },
  {
    number: 17,
    name: 'which build asked for a deployment',
    up: async (db, { columnTypes }) => {
      for (const table of ['deployments', 'releases'] as const)
        await db.schema.alterTable(table).addColumn('build', columnTypes.text).execute()
    }
  }
]

/** The schema that this version writes. */
export const newestSchema = migrations.length

/**
 * Brings the schema up to this version, each step in a transaction of its own.
 * @throws StoreError `database-newer`
 */
export const migrate = async (
  db: Kysely<Tables>,
  dialect: TableDialect,
  nowMs: number,
  migrating: () => void = () => {}
): Promise<void> => {
  await db.schema
    .createTable('schema_version')
    .ifNotExists()
    .addColumn('number', dialect.columnTypes.whole, (column) => column.primaryKey())
    .addColumn('name', dialect.columnTypes.text, (column) => column.notNull())
    .addColumn('appliedAtMs', dialect.columnTypes.whole, (column) => column.notNull())
    .modifyEnd(dialect.tableEnd)
    .execute()
  const applied = await db.selectFrom('schema_version').select('number').execute()
  const version = Math.max(0, ...applied.map((row) => row.number))
  if (version > newestSchema) {
    const detail = `the database has schema ${version}, this version of Longshore knows up to ${newestSchema}; start the newer version, or restore a backup made before the upgrade`
    throw new StoreError('database-newer', detail)
  }
  if (version < newestSchema) migrating()
  for (const { number, name, up } of migrations.slice(version)) {
    await db.transaction().execute(async (tx) => {
      await up(tx, dialect)
      await tx.insertInto('schema_version').values({ number, name, appliedAtMs: nowMs }).execute()
    })
  }
}
