// Every change of the store, inside one transaction. A row that another one's key forbids is a StoreConflict.
import type { Kysely } from 'kysely'
import { StoreConflict, type Writes } from '../../ports.ts'
import { auditWrites } from './audit-rows.ts'
import { imageWrites } from './image-rows.ts'
import { issuerWrites } from './issuer-rows.ts'
import { registryWrites } from './registry-rows.ts'
import {
  agentCodec,
  apiTokenCodec,
  convergenceCodec,
  currentReleaseCodec,
  deploymentCodec,
  deploymentServiceCodec,
  environmentCodec,
  joinTokenCodec,
  outboxCodec,
  releaseCodec,
  specCodec,
  type Tables
} from './tables.ts'
import { webhookWrites } from './webhook-rows.ts'
import { type ConflictTest, orConflict } from './write-conflicts.ts'
import { lockWrites } from './write-locks.ts'

export const writesOf = (db: Kysely<Tables>, isConflict: ConflictTest): Writes => ({
  ...installationWrites(db, isConflict),
  ...fleetWrites(db, isConflict),
  ...serviceWrites(db, isConflict),
  ...deploymentWrites(db, isConflict),
  ...lockWrites(db, isConflict),
  ...auditWrites(db),
  ...webhookWrites(db),
  ...issuerWrites(db),
  ...registryWrites(db),
  ...imageWrites(db)
})

/** The number that follows the highest one in an append-only table. */
const following = (highest: number | null | undefined): number => (highest ?? 0) + 1

const installationWrites = (db: Kysely<Tables>, isConflict: ConflictTest) =>
  ({
    setInstallation: (id) =>
      orConflict(
        isConflict,
        db.insertInto('installation').values({ only: 1, id }),
        'the store belongs to an installation already'
      ),
    addKey: async (jws) => {
      const last = await db
        .selectFrom('keys')
        .select(({ fn }) => fn.max('number').as('number'))
        .executeTakeFirst()
      await db
        .insertInto('keys')
        .values({ number: following(last?.number), jws })
        .execute()
    }
  }) satisfies Partial<Writes>

const fleetWrites = (db: Kysely<Tables>, isConflict: ConflictTest) =>
  ({
    insertEnvironment: (row) =>
      orConflict(
        isConflict,
        db
          .insertInto('environments')
          .values(environmentCodec.encode({ ...row, heal: false, promotesFrom: null, sources: null })),
        `the environment ${row.name} exists`
      ),
    putEnvironment: async (row) => {
      const values = environmentCodec.encode(row)
      await db.updateTable('environments').set(values).where('name', '=', row.name).execute()
    },
    deleteEnvironment: async (name) => {
      for (const table of ['agents', 'specs'] as const) {
        const query = db.selectFrom(table).select('environment').where('environment', '=', name)
        if ((await query.limit(1).execute()).length > 0) {
          throw new StoreConflict(`the environment ${name} still has ${table}`)
        }
      }
      for (const table of ['freezes', 'idempotency_keys'] as const)
        await db.deleteFrom(table).where('environment', '=', name).execute()
      await db.deleteFrom('environments').where('name', '=', name).execute()
    },
    putAgent: async (row) => {
      const values = agentCodec.encode(row)
      await db
        .insertInto('agents')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    },
    deleteAgent: async (id) => {
      await db.deleteFrom('convergences').where('agent', '=', id).execute()
      await db.deleteFrom('agents').where('id', '=', id).execute()
    },
    putJoinToken: async (row) => {
      const values = joinTokenCodec.encode(row)
      await db
        .insertInto('join_tokens')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    },
    putApiToken: async (row) => {
      const values = apiTokenCodec.encode(row)
      await db
        .insertInto('api_tokens')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    }
  }) satisfies Partial<Writes>

const serviceWrites = (db: Kysely<Tables>, isConflict: ConflictTest) =>
  ({
    insertSpec: (row) =>
      orConflict(
        isConflict,
        db.insertInto('specs').values(specCodec.encode(row)),
        `revision ${row.revision} of ${row.service} in ${row.environment} exists`
      ),
    putRelease: async (row) => {
      const values = releaseCodec.encode(row)
      await db
        .insertInto('releases')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'service', 'number']).doUpdateSet(values))
        .execute()
    },
    putConvergence: async (row) => {
      const values = convergenceCodec.encode(row)
      await db
        .insertInto('convergences')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'service', 'agent']).doUpdateSet(values))
        .execute()
    },
    deleteConvergence: async ({ environment, service, agent }) => {
      await db
        .deleteFrom('convergences')
        .where('environment', '=', environment)
        .where('service', '=', service)
        .where('agent', '=', agent)
        .execute()
    },
    putCounters: async (environment, service, counters) => {
      await db
        .insertInto('counters')
        .values({ environment, service, ...counters })
        .onConflict((conflict) => conflict.columns(['environment', 'service']).doUpdateSet(counters))
        .execute()
    }
  }) satisfies Partial<Writes>

const deploymentWrites = (db: Kysely<Tables>, isConflict: ConflictTest) =>
  ({
    putDeployment: async (row) => {
      const values = deploymentCodec.encode(row)
      await db
        .insertInto('deployments')
        .values(values)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute()
    },
    putDeploymentService: async (row) => {
      const values = deploymentServiceCodec.encode(row)
      await db
        .insertInto('deployment_services')
        .values(values)
        .onConflict((conflict) => conflict.columns(['deployment', 'service']).doUpdateSet(values))
        .execute()
    },
    putCurrentRelease: async (row) => {
      const values = currentReleaseCodec.encode(row)
      await db
        .insertInto('current_releases')
        .values(values)
        .onConflict((conflict) => conflict.columns(['environment', 'service']).doUpdateSet(values))
        .execute()
    },
    appendDeploymentEvent: async (id, event) => {
      const last = await db
        .selectFrom('deployment_events')
        .select(({ fn }) => fn.max('number').as('number'))
        .where('deployment', '=', id)
        .executeTakeFirst()
      const values = { deployment: id, number: following(last?.number), event: JSON.stringify(event) }
      await orConflict(isConflict, db.insertInto('deployment_events').values(values), 'the event exists')
    },
    prunePlans: async (endedBeforeMs) => {
      const old = db.selectFrom('deployments').select('id').where('mode', '=', 'plan')
      const ids = old.where('endedAtMs', '<', endedBeforeMs)
      for (const table of ['deployment_events', 'deployment_services', 'outbox'] as const)
        await db.deleteFrom(table).where('deployment', 'in', ids).execute()
      await db
        .deleteFrom('deployments')
        .where('mode', '=', 'plan')
        .where('endedAtMs', '<', endedBeforeMs)
        .execute()
    },
    pruneCommands: async (endedBeforeMs) => {
      const ended = db.updateTable('outbox').set({ jws: '' }).where('state', '=', 'ended')
      await ended.where('endedAtMs', '<', endedBeforeMs).where('jws', '!=', '').execute()
    },
    putCommand: async (row) => {
      const values = outboxCodec.encode(row)
      await db
        .insertInto('outbox')
        .values(values)
        .onConflict((conflict) => conflict.column('command').doUpdateSet(values))
        .execute()
    }
  }) satisfies Partial<Writes>
