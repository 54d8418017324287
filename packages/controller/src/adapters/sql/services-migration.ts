// The step to deployments of several services, locks as leases, and a table of what each service runs. What was
// stored before is brought into the new shape.
import { type Kysely, sql } from 'kysely'
import type { Tables } from './tables.ts'
import { upgradeEvent, upgradeState } from './upgrade-deployments.ts'

type Types = { text: 'text'; whole: 'integer' }

export const addColumns = async (db: Kysely<Tables>, { text, whole }: Types): Promise<void> => {
  await db.schema
    .alterTable('deployments')
    .addColumn('mode', text, (column) => column.notNull().defaultTo('deploy'))
    .execute()
  await db.schema.alterTable('deployments').addColumn('attemptOf', text).execute()
  await db.schema.alterTable('deployments').addColumn('requestReason', text).execute()
  await db.schema.alterTable('locks').addColumn('reason', text).execute()
  await db.schema
    .alterTable('locks')
    .addColumn('owner', text, (column) => column.notNull().defaultTo(''))
    .execute()
  await db.schema
    .alterTable('locks')
    .addColumn('leaseUntilMs', whole, (column) => column.notNull().defaultTo(0))
    .execute()
  await db.schema
    .alterTable('outbox')
    .addColumn('service', text, (column) => column.notNull().defaultTo(''))
    .execute()
}

/** The tables are there and empty. */
export const fillTables = async (db: Kysely<Tables>): Promise<void> => {
  await sql`update outbox set service = coalesce(
    (select service from deployments where deployments.id = outbox.deployment), '')`.execute(db)
  await sql`insert into deployment_services (deployment, environment, service, "release", generation)
    select id, environment, service, "release", generation from deployments`.execute(db)
  await sql`insert into current_releases
    (environment, service, "release", generation, deployment, "sinceMs")
    select environment, service, "release", generation, id, coalesce("endedAtMs", "requestedAtMs")
    from deployments as last where outcome = 'succeeded' and generation = (
      select max(generation) from deployments as other where other.outcome = 'succeeded'
      and other.environment = last.environment and other.service = last.service)`.execute(db)
}

export const convertDeployments = async (db: Kysely<Tables>): Promise<void> => {
  const rows = await db.selectFrom('deployments').select(['id', 'service', 'generation', 'state']).execute()
  for (const { id, service, generation, state } of rows) {
    const stored = { service, generation }
    const upgraded = JSON.stringify(upgradeState(JSON.parse(state), stored))
    await db.updateTable('deployments').set({ state: upgraded }).where('id', '=', id).execute()
    const events = db.selectFrom('deployment_events').selectAll().where('deployment', '=', id)
    for (const { number, event } of await events.execute()) {
      await db
        .updateTable('deployment_events')
        .set({ event: JSON.stringify(upgradeEvent(JSON.parse(event), stored)) })
        .where('deployment', '=', id)
        .where('number', '=', number)
        .execute()
    }
  }
}
