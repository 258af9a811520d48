import type { GatewayError } from '../../../errors.ts'
import type { Server } from '../../../postgres/hosts/server.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { readMajor } from '../../../postgres/server-tools.ts'
import { databaseName, type Owner } from '../../../tenancy/names.ts'
import { asGateway } from '../../database/handover.ts'
import { findNames, moveRefused, type Objects } from '../check.ts'
import type { MoveServers } from '../servers.ts'
import { objectsFor } from './code.ts'
import { connectionTo } from './link.ts'
import { REPLICATED } from './published.ts'
import { OWN_SETTINGS } from './settings.ts'
import { createSubscription } from './subscription.ts'

/** Milliseconds that the target gets to reach the source. */
const REACH_LIMIT_MS = 10_000

/** Something that keeps a database from being replicated. */
interface Obstacle {
  why: string
  hint: string
}

/** Objects of a database that are not replicated, or not rightly. */
const OBJECTS: Objects[] = [
  {
    what: 'tables without a primary key that is not deferrable, or another replica identity',
    hint: 'Add a primary key, or "alter table … replica identity full" (an update of many rows is slow then)',
    sql: `select c.oid::regclass::text as name from pg_class c
      join pg_namespace n on n.oid = c.relnamespace
      where ${REPLICATED} and c.relreplident <> 'f' and not exists (
        select from pg_index i where i.indrelid = c.oid and i.indisvalid and i.indimmediate
          and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end
          and c.relreplident in ('d', 'i')
      )`,
  },
  {
    what: 'unlogged tables or sequences',
    hint: '"alter table … set logged" for the move',
    sql: "select c.oid::regclass::text as name from pg_class c where c.relpersistence = 'u' and c.relkind in ('r', 'p', 'S')",
  },
  {
    what: 'large objects',
    hint: 'Keep their contents in columns of type bytea',
    sql: 'select oid::text as name from pg_largeobject_metadata',
  },
  {
    what: 'extensions with tables of their own',
    hint: 'They are moved by a dump alone',
    sql: `select e.extname::text as name from pg_extension e where exists (
      select from pg_depend d join pg_class c on c.oid = d.objid and c.relkind in ('r', 'p', 'S')
      where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_extension'::regclass
        and d.refobjid = e.oid and d.deptype = 'e'
    )`,
  },
  {
    what: 'replication slots',
    hint: 'Drop them, and make them again on the other server',
    sql: `select slot_name::text as name from pg_replication_slots
      where database = current_database() and slot_name !~ '^_db_gateway_move_'`,
  },
]

/**
 * Returns why a database cannot be moved by logical replication, as the error to throw; undefined if it
 * can. Nothing is changed.
 */
export async function whyNotReplicated(
  servers: MoveServers,
  owner: Owner,
): Promise<GatewayError | undefined> {
  const { source, target } = servers
  const found = [
    ...(await source.catalog.use((sql) => ofSource(sql, servers))),
    ...(await target.catalog.use((sql) => ofTarget(sql, servers))),
  ]
  const major = await target.catalog.use(readMajor)
  await asGateway(source, databaseName(owner), async (sql) => {
    found.push(...(await ofDatabase(sql, [...OBJECTS, OWN_SETTINGS, ...objectsFor(major)])))
  })
  // Only servers that fit are asked to reach each other.
  if (found.length === 0) found.push(...(await reach(servers)))
  return found.length === 0 ? undefined : refused(owner, found)
}

/**
 * Checks that nothing was made meanwhile that is not replicated.
 * @param sql session of the gateway's own role in the source
 * @throws {GatewayError} move_refused
 */
export async function checkReplicable(sql: Sql, owner: Owner): Promise<void> {
  const found = await ofDatabase(sql, OBJECTS)
  if (found.length > 0) throw refused(owner, found)
}

async function ofDatabase(sql: Sql, kinds: Objects[]): Promise<Obstacle[]> {
  const found: Obstacle[] = []
  for (const objects of kinds) {
    const names = await findNames(sql, objects)
    if (names.length === 0) continue
    found.push({ why: `it has ${objects.what} (${names.join(', ')})`, hint: objects.hint })
  }
  return found
}

function refused(owner: Owner, found: Obstacle[]): GatewayError {
  const why = found.map((one) => one.why).join('; ')
  const hint = found.map((one) => one.hint).join('. ')
  return moveRefused(owner, `not by logical replication: ${why}`, hint)
}

/** What the source lacks. */
async function ofSource(sql: Sql, { source, from, to }: MoveServers): Promise<Obstacle[]> {
  const [row] = await sql<{ level: string; may: boolean; slots: number; senders: number }[]>`
    select current_setting('wal_level') as level,
      (select rolsuper or rolreplication from pg_roles where rolname = current_user) as may,
      current_setting('max_replication_slots')::integer
        - (select count(*) from pg_replication_slots)::integer as slots,
      current_setting('max_wal_senders')::integer
        - (select count(*) from pg_stat_replication)::integer as senders
  `
  const { level, may, slots, senders } = row!
  const found: Obstacle[] = []
  const add = (why: string, hint: string) => found.push({ why, hint })
  if (level !== 'logical')
    add(`wal_level of the server ${from} is ${level}`, 'Set wal_level = logical and restart it')
  if (!may)
    add(
      `the role of the gateway on the server ${from} may not replicate`,
      `"alter role ${source.server.user} replication"`,
    )
  if (slots < NEEDED)
    add(`the server ${from} has ${slots} free replication slots`, 'Raise max_replication_slots')
  if (senders < NEEDED)
    add(`the server ${from} has ${senders} free senders`, 'Raise max_wal_senders')
  if (source.server.pooler)
    add(`a pooler is before the server ${from}`, `Give ${from} the address of PostgreSQL itself`)
  const { ca, cert, key } = source.server
  if (ca !== undefined || cert !== undefined || key !== undefined)
    add(
      `the server ${to} does not have the certificates with which the gateway reaches ${from}`,
      'Use a URI without sslrootcert, sslcert and sslkey',
    )
  return found
}

/** Slots, senders and workers of one move: one for the changes, two for the first copy of tables. */
const NEEDED = 3

/** What the target lacks. */
async function ofTarget(sql: Sql, { target, to }: MoveServers): Promise<Obstacle[]> {
  const [row] = await sql<{ may: boolean; workers: number; origins: number; copies: number }[]>`
    select (select rolsuper from pg_roles where rolname = current_user)
        or coalesce(pg_has_role(to_regrole('pg_create_subscription'), 'usage'), false) as may,
      current_setting('max_logical_replication_workers')::integer
        - (select count(*) from pg_stat_subscription where pid is not null)::integer as workers,
      coalesce(
        current_setting('max_active_replication_origins', true),
        current_setting('max_replication_slots')
      )::integer - (select count(*) from pg_subscription)::integer as origins,
      current_setting('max_sync_workers_per_subscription')::integer as copies
  `
  const { may, workers, origins, copies } = row!
  const found: Obstacle[] = []
  const add = (why: string, hint: string) => found.push({ why, hint })
  if (!may)
    add(
      `the role of the gateway on the server ${to} may not subscribe`,
      `"grant pg_create_subscription to ${target.server.user}" (PostgreSQL 16 or later), or make it a superuser`,
    )
  if (workers < 2 || copies < 1)
    add(
      `the server ${to} has ${workers} free workers for replication`,
      'Raise max_logical_replication_workers and max_sync_workers_per_subscription',
    )
  if (origins < NEEDED)
    add(
      `the server ${to} has room for ${origins} origins of replication`,
      'Raise max_replication_slots, from PostgreSQL 18 on max_active_replication_origins',
    )
  return found
}

/** Name of what `reach` makes. */
const REACH = '_db_gateway_reach'

/** Tries whether the target reaches the source by the gateway's own URI. */
async function reach({ source, target, from, to }: MoveServers): Promise<Obstacle[]> {
  const { server } = source
  const missing = await source.catalog.use((sql) => providePublication(sql, from, server))
  if (missing) return [missing]
  const connection = connectionTo(server, server.database, REACH)
  const options = 'connect = true, enabled = false, create_slot = false, slot_name = none'
  const failure = await asGateway(target, target.server.database, async (sql) => {
    await sql.unsafe(`begin; set local statement_timeout = ${REACH_LIMIT_MS}`)
    try {
      return await createSubscription(sql, { name: REACH, connection, publication: REACH, options })
    } finally {
      await sql.unsafe('rollback')
    }
  })
  if (failure === undefined) return []
  const { message, lacksPassword } = failure
  return [
    {
      why: `the server ${to} does not reach ${from} at the gateway's address for it (${message})`,
      hint: lacksPassword
        ? `Have pg_hba.conf of ${from} ask ${server.user} for a password (scram-sha-256), which the URI of ${from} has to have: without one, as with trust, superusers alone may subscribe`
        : `Give ${from} an address that is right on the machine of ${to} too, neither a socket nor localhost, and have its pg_hba.conf admit ${server.user}`,
    },
  ]
}

/**
 * Makes an empty publication in the gateway's own database of the source, which stays: PostgreSQL warns of
 * one that is missing, and the log of the target has the connection string with the warning.
 * @returns why nothing may be tried, if it cannot be made
 */
async function providePublication(
  sql: Sql,
  from: string,
  { user, database }: Server,
): Promise<Obstacle | undefined> {
  const has = () => sql`select from pg_publication where pubname = ${REACH}`
  if ((await has()).length > 0) return undefined
  try {
    await sql.unsafe(`create publication ${REACH}`)
    return undefined
  } catch (error) {
    // Another gateway may have made it.
    if ((await has()).length > 0) return undefined
    return {
      why: `the role of the gateway on the server ${from} cannot make the publication ${REACH} in the database ${database} (${(error as Error).message})`,
      hint: `"grant create on database ${database} to ${user}" on ${from}`,
    }
  }
}
