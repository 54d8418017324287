// Every question that the controller asks its store, over one connection or one transaction.
import type { InstallationId } from '@longshore/protocol'
import { type Expression, expressionBuilder, type Kysely, type SqlBool } from 'kysely'
import type { RowScope } from '../../core/access/readable-rows.ts'
import type { CommandCount, Reads } from '../../ports.ts'
import { auditReads } from './audit-rows.ts'
import { imageReads } from './image-rows.ts'
import { issuerReads } from './issuer-rows.ts'
import { registryReads } from './registry-rows.ts'
import { defaultLimit, many, one } from './run-query.ts'
import {
  agentCodec,
  apiTokenCodec,
  convergenceCodec,
  currentReleaseCodec,
  deploymentCodec,
  deploymentServiceCodec,
  environmentCodec,
  freezeCodec,
  idempotencyKeyCodec,
  joinTokenCodec,
  lockCodec,
  outboxCodec,
  releaseCodec,
  specCodec,
  type Tables
} from './tables.ts'
import { webhookReads } from './webhook-rows.ts'

export const readsOf = (db: Kysely<Tables>): Reads => ({
  ...fleetReads(db),
  ...tokenReads(db),
  ...serviceReads(db),
  ...deploymentReads(db),
  ...outboxReads(db),
  ...installationReads(db),
  ...auditReads(db),
  ...webhookReads(db),
  ...issuerReads(db),
  ...registryReads(db),
  ...imageReads(db)
})

/** The row's own place is in one of the scopes. */
const fits = (scopes: readonly RowScope[]): Expression<SqlBool> => {
  const { eb, and, or } = expressionBuilder<Tables, 'releases'>()
  const conditions = scopes.map(({ environment, service }) =>
    and([
      ...(environment === null ? [] : [eb('environment', '=', environment)]),
      ...(service === null ? [] : [eb('service', '=', service)])
    ])
  )
  return or(conditions)
}

const fleetReads = (db: Kysely<Tables>) =>
  ({
    environments: () => many(environmentCodec, db.selectFrom('environments').selectAll().orderBy('name')),
    environment: (name) =>
      one(environmentCodec, db.selectFrom('environments').selectAll().where('name', '=', name)),
    agents: ({ environment } = {}) => {
      const query = db.selectFrom('agents').selectAll().orderBy('hostName').orderBy('id')
      return many(
        agentCodec,
        environment === undefined ? query : query.where('environment', '=', environment)
      )
    },
    agent: (id) => one(agentCodec, db.selectFrom('agents').selectAll().where('id', '=', id)),
    agentByThumbprint: (thumbprint) =>
      one(agentCodec, db.selectFrom('agents').selectAll().where('thumbprint', '=', thumbprint))
  }) satisfies Partial<Reads>

const tokenReads = (db: Kysely<Tables>) =>
  ({
    joinTokens: () => many(joinTokenCodec, db.selectFrom('join_tokens').selectAll().orderBy('createdAtMs')),
    joinToken: (id) => one(joinTokenCodec, db.selectFrom('join_tokens').selectAll().where('id', '=', id)),
    apiTokens: () => many(apiTokenCodec, db.selectFrom('api_tokens').selectAll().orderBy('createdAtMs')),
    apiToken: (id) => one(apiTokenCodec, db.selectFrom('api_tokens').selectAll().where('id', '=', id))
  }) satisfies Partial<Reads>

const serviceReads = (db: Kysely<Tables>) =>
  ({
    specs: ({ environment, service } = {}) => {
      let query = db
        .selectFrom('specs')
        .selectAll()
        .where(({ eb, selectFrom, ref }) =>
          eb(
            'revision',
            '=',
            selectFrom('specs as other')
              .select(({ fn }) => fn.max('other.revision').as('latest'))
              .where('other.environment', '=', ref('specs.environment'))
              .where('other.service', '=', ref('specs.service'))
          )
        )
      if (environment !== undefined) query = query.where('environment', '=', environment)
      if (service !== undefined) query = query.where('service', '=', service)
      return many(specCodec, query.orderBy('environment').orderBy('service'))
    },
    spec: (environment, service, revision) => {
      const query = db
        .selectFrom('specs')
        .selectAll()
        .where('environment', '=', environment)
        .where('service', '=', service)
        .orderBy('revision', 'desc')
      return one(specCodec, revision === undefined ? query : query.where('revision', '=', revision))
    },
    releases: ({ environment, service, limit, readable }) => {
      let query = db.selectFrom('releases').selectAll()
      if (environment !== undefined) query = query.where('environment', '=', environment)
      if (service !== undefined) query = query.where('service', '=', service)
      if (readable !== undefined) query = query.where(fits(readable))
      // numbers are of one service; between services only time tells
      if (service === undefined || environment === undefined) query = query.orderBy('createdAtMs', 'desc')
      return many(releaseCodec, query.orderBy('number', 'desc').limit(limit ?? defaultLimit))
    },
    release: (environment, service, number) =>
      one(
        releaseCodec,
        db
          .selectFrom('releases')
          .selectAll()
          .where('environment', '=', environment)
          .where('service', '=', service)
          .where('number', '=', number)
      ),
    currentRelease: (environment, service) =>
      one(
        releaseCodec,
        db
          .selectFrom('releases')
          .innerJoin('current_releases', (join) =>
            join
              .onRef('current_releases.environment', '=', 'releases.environment')
              .onRef('current_releases.service', '=', 'releases.service')
              .onRef('current_releases.release', '=', 'releases.number')
          )
          .selectAll('releases')
          .where('current_releases.environment', '=', environment)
          .where('current_releases.service', '=', service)
      ),
    currentReleases: ({ environment, service } = {}) => {
      let query = db.selectFrom('current_releases').selectAll()
      if (environment !== undefined) query = query.where('environment', '=', environment)
      if (service !== undefined) query = query.where('service', '=', service)
      return many(currentReleaseCodec, query.orderBy('environment').orderBy('service'))
    }
  }) satisfies Partial<Reads>

const deploymentReads = (db: Kysely<Tables>) =>
  ({
    deployments: (filter) => {
      const { environment, service, mode, outcome, isEnded, limit, readable, withPlans = false } = filter
      let query = db.selectFrom('deployments').selectAll()
      if (!withPlans) query = query.where('mode', '!=', 'plan')
      if (mode !== undefined) query = query.where('mode', '=', mode)
      if (outcome !== undefined) query = query.where('outcome', '=', outcome)
      if (environment !== undefined) query = query.where('environment', '=', environment)
      if (service !== undefined) {
        const having = db.selectFrom('deployment_services').select('deployment')
        query = query.where('id', 'in', having.where('service', '=', service))
      }
      if (readable !== undefined) {
        query = query.where(({ not, exists, selectFrom }) => {
          const ofOthers = selectFrom('deployment_services')
            .select('deployment')
            .whereRef('deployment_services.deployment', '=', 'deployments.id')
            .where(not(fits(readable)))
          return not(exists(ofOthers))
        })
      }
      if (isEnded !== undefined) query = query.where('endedAtMs', isEnded ? 'is not' : 'is', null)
      const newestFirst = query.orderBy('requestedAtMs', 'desc').orderBy('generation', 'desc').orderBy('id')
      // none of those in progress may be forgotten
      const most = limit ?? (isEnded === false ? undefined : defaultLimit)
      return many(deploymentCodec, most === undefined ? newestFirst : newestFirst.limit(most))
    },
    activeDeployments: async () => {
      const query = db.selectFrom('deployments').select('id').where('endedAtMs', 'is', null)
      return (await query.execute()).map(({ id }) => id)
    },
    deployment: (id) => one(deploymentCodec, db.selectFrom('deployments').selectAll().where('id', '=', id)),
    deploymentServices: (id) =>
      many(
        deploymentServiceCodec,
        db.selectFrom('deployment_services').selectAll().where('deployment', '=', id)
      ),
    deploymentEvents: async (id) => {
      const query = db.selectFrom('deployment_events').select('event').where('deployment', '=', id)
      const rows = await query.orderBy('number').execute()
      return rows.map((row): unknown => JSON.parse(row.event))
    },
    lease: () => db.selectFrom('lease').select(['owner', 'epoch', 'leaseUntilMs']).executeTakeFirst(),
    lock: (environment, service) =>
      one(
        lockCodec,
        db
          .selectFrom('locks')
          .selectAll()
          .where('environment', '=', environment)
          .where('service', '=', service)
      ),
    freezes: (environment) => {
      const query = db.selectFrom('freezes').selectAll().orderBy('environment').orderBy('service')
      return many(
        freezeCodec,
        environment === undefined ? query : query.where('environment', '=', environment)
      )
    },
    idempotencyKey: (environment, key) =>
      one(
        idempotencyKeyCodec,
        db
          .selectFrom('idempotency_keys')
          .selectAll()
          .where('environment', '=', environment)
          .where('key', '=', key)
      ),
    convergences: ({ environment, service, agent } = {}) => {
      let query = db.selectFrom('convergences').selectAll()
      if (environment !== undefined) query = query.where('environment', '=', environment)
      if (service !== undefined) query = query.where('service', '=', service)
      if (agent !== undefined) query = query.where('agent', '=', agent)
      return many(convergenceCodec, query.orderBy('environment').orderBy('service').orderBy('agent'))
    },
    counters: async (environment, service) => {
      const query = db.selectFrom('counters').select(['generation', 'release', 'heard'])
      const row = await query
        .where('environment', '=', environment)
        .where('service', '=', service)
        .executeTakeFirst()
      return row ?? { generation: 0, release: 0, heard: 0 }
    }
  }) satisfies Partial<Reads>

const outboxReads = (db: Kysely<Tables>) =>
  ({
    outbox: ({ agent, deployment, isEnded }) => {
      let query = db.selectFrom('outbox').selectAll()
      if (agent !== undefined) query = query.where('agent', '=', agent)
      if (deployment !== undefined) query = query.where('deployment', '=', deployment)
      if (isEnded !== undefined) query = query.where('state', isEnded ? '=' : '!=', 'ended')
      return many(outboxCodec, query.orderBy('createdAtMs').orderBy('command'))
    },
    command: (id) => one(outboxCodec, db.selectFrom('outbox').selectAll().where('command', '=', id)),
    countCommands: async () => {
      const query = db
        .selectFrom('outbox')
        .innerJoin('agents', 'agents.id', 'outbox.agent')
        .select(['agents.environment', 'outbox.state'])
        .select(({ fn }) => [fn.countAll().as('count'), fn.min('outbox.createdAtMs').as('oldestAtMs')])
        .where('outbox.state', 'in', ['owed', 'accepted'])
      const rows = await query.groupBy(['agents.environment', 'outbox.state']).execute()
      return rows.map(({ environment, state, count, oldestAtMs }) => ({
        environment: environment as CommandCount['environment'],
        state: state as CommandCount['state'],
        count: Number(count),
        oldestAtMs: Number(oldestAtMs)
      }))
    }
  }) satisfies Partial<Reads>

const installationReads = (db: Kysely<Tables>) =>
  ({
    keyChain: async () => {
      const rows = await db.selectFrom('keys').select('jws').orderBy('number').execute()
      return rows.map((row) => row.jws)
    },
    installation: async () => {
      const row = await db.selectFrom('installation').select('id').executeTakeFirst()
      return row?.id as InstallationId | undefined
    }
  }) satisfies Partial<Reads>
