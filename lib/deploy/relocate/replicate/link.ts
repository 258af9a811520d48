import type { Server } from '../../../postgres/hosts/server.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../../postgres/quote.ts'
import { inTransaction } from '../../../postgres/transaction.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { asGateway } from '../../database/handover.ts'
import type { DeployParts } from '../../parts.ts'
import { moveRefused } from '../check.ts'
import { type Definitions, readDefinitions } from './definitions.ts'
import { REPLICATED } from './published.ts'
import { readTables } from './rewritten.ts'
import { unshield } from './settings.ts'
import { createSubscription } from './subscription.ts'

/** Seconds that the target gets to connect to the source. */
const CONNECT_LIMIT_S = 5

/** Returns the name that the publication, the slot and the subscription of a move have. */
export function linkName(id: string): string {
  return `_db_gateway_move_${id.replaceAll('-', '')}`
}

/** Returns the connection string with which the target reaches a database of the source. */
export function connectionTo(server: Server, database: string, name: string): string {
  const hosts = [server, ...server.others]
  const isChecked = server.sslMode.startsWith('verify')
  const values: Record<string, string | number> = {
    host: hosts.map(({ host }) => host).join(','),
    port: hosts.map(({ port }) => port).join(','),
    user: server.user,
    ...(server.password !== '' && { password: server.password }),
    dbname: database,
    application_name: name,
    sslmode: server.sslMode,
    ...(isChecked && { sslrootcert: 'system' }),
    target_session_attrs: server.sessionAttrs,
    connect_timeout: CONNECT_LIMIT_S,
  }
  return Object.entries(values)
    .map(([key, value]) => `${key}='${String(value).replace(/[\\']/g, '\\$&')}'`)
    .join(' ')
}

/** What a source had when its tables were published. */
export interface Published {
  /** `readTables` of it. */
  tables: string
  definitions: Definitions
}

/** Publishes all tables of the source that are replicated. */
export async function publish(
  source: DeployParts,
  database: string,
  id: string,
): Promise<Published> {
  return asGateway(source, database, async (sql) => {
    const published = { tables: await readTables(sql), definitions: await readDefinitions(sql) }
    const tables = await sql.unsafe<{ name: string }[]>(`
      select format('%I.%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace where ${REPLICATED} order by 1
    `)
    const which = tables.map(({ name }) => `only ${name}`).join(', ')
    await sql.unsafe(
      `create publication ${linkName(id)}${which === '' ? '' : ` for table ${which}`}`,
    )
    return published
  })
}

/**
 * Has the target copy the tables and follow the source.
 * @param sql session in the copy
 * @throws {GatewayError} move_refused
 */
export async function subscribe(
  sql: Sql,
  server: Server,
  { id, owner, database }: { id: string; owner: Owner; database: string },
): Promise<void> {
  const name = linkName(id)
  const connection = connectionTo(server, database, name)
  const options = `slot_name = ${name}, create_slot = false, streaming = off, disable_on_error = false`
  await inTransaction(sql, async () => {
    const failure = await createSubscription(sql, { name, connection, publication: name, options })
    if (failure === undefined) return
    throw moveRefused(
      owner,
      `the other server does not subscribe: ${failure.message}`,
      'Mend that, or move it with "how": "dump"',
    )
  })
}

/**
 * Removes what a move has made on the source for replication: the slots, also those of the first copy
 * of tables, the settings and the publication. May be repeated.
 * @param admin session in the administrative database of the source
 * @param names names that the database may have
 */
export async function unlinkSource(
  source: DeployParts,
  admin: Sql,
  names: string[],
  id: string,
): Promise<void> {
  const name = linkName(id)
  await dropSlots(admin, names, name)
  await unshield(admin, names)
  const [database] = await admin<{ name: string }[]>`
    select datname as name from pg_database where datname in ${admin(names)}
  `
  if (!database) return
  await asGateway(source, database.name, async (sql) => {
    await sql.unsafe(`drop publication if exists ${name}`)
  })
}

async function dropSlots(admin: Sql, names: string[], name: string): Promise<void> {
  for (;;) {
    const slots = await admin<{ slot: string; pid: number | null }[]>`
      select slot_name::text as slot, active_pid as pid from pg_replication_slots
      where database in ${admin(names)}
        and (slot_name = ${name} or slot_name ~ '^pg_[0-9]+_sync_[0-9]+_[0-9]+$')
    `
    if (slots.length === 0) return
    for (const { slot, pid } of slots) {
      // The target's worker comes back after some seconds, unless it has been told to end.
      if (pid !== null) await admin`select pg_terminate_backend(${pid}, 5000)`
      await admin`select pg_drop_replication_slot(${slot})`.catch((error) => {
        if (!IN_USE_OR_GONE.has(error.code)) throw error
      })
    }
  }
}

/** SQLSTATEs of a slot that is in use, or that is gone. */
const IN_USE_OR_GONE = new Set(['55006', '42704'])

/**
 * Removes the subscription and its settings from the target, without a word to the source. May be repeated.
 * @param admin session in the administrative database of the target
 */
export async function unlinkTarget(
  target: DeployParts,
  admin: Sql,
  database: string,
  id: string,
): Promise<void> {
  const name = linkName(id)
  await unshield(admin, [database])
  const [has] = await admin`
    select from pg_subscription s join pg_database d on d.oid = s.subdbid
    where s.subname = ${name} and d.datname = ${database}
  `
  if (!has) return
  const it = quoteIdentifier(name)
  await asGateway(target, database, async (sql) => {
    await sql.unsafe(`alter subscription ${it} disable`)
    await sql.unsafe(`alter subscription ${it} set (slot_name = none)`)
    await sql.unsafe(`drop subscription ${it}`)
  })
}
