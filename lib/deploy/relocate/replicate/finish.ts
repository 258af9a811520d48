import { isRefusal } from '../../../postgres/errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../../postgres/quote.ts'
import type { Owner } from '../../../tenancy/names.ts'
import { asGateway } from '../../database/handover.ts'
import type { DeployParts } from '../../parts.ts'
import { moveRefused } from '../check.ts'
import { linkName } from './link.ts'

/** Sequences that are read in one query. */
const SEQUENCES = 200

/**
 * Ends the replication, so that the source has no session of it any more.
 * @param admin session of the source's administrative database
 * @param there session in the copy
 */
export async function endStream(admin: Sql, there: Sql, id: string): Promise<void> {
  const name = linkName(id)
  await there.unsafe(`alter subscription ${name} disable`)
  // The worker looks for that once a second; its end keeps what it has confirmed.
  await there`
    select pg_terminate_backend(pid, 5000) from pg_stat_subscription
    where subname = ${name} and pid is not null
  `
  await admin`
    select pg_terminate_backend(active_pid, 5000) from pg_replication_slots
    where slot_name = ${name} and active_pid is not null
  `
}

/** Has the replication that `endStream` has ended go on. */
export async function goOn(there: Sql, id: string): Promise<void> {
  await there.unsafe(`alter subscription ${linkName(id)} enable`)
}

/**
 * Gives the sequences of the copy the values that those of the source have.
 * @throws {GatewayError} move_refused if one was made since the definitions were copied
 */
export async function copySequences(from: Sql, to: Sql, owner: Owner): Promise<void> {
  const sequences = await from.unsafe<{ name: string }[]>(`
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'S' and c.relpersistence <> 't' and n.nspname !~ '^pg_'
      and n.nspname not in ('information_schema', '_db_gateway')
      and not (n.nspname = 'public' and c.relname ~ '^_db_gateway_')
  `)
  const names = sequences.map(({ name }) => name)
  const [missing] = await to<{ name: string }[]>`
    select name from json_array_elements_text(${JSON.stringify(names)}::text::json) name
    where to_regclass(name) is null limit 1
  `
  if (missing) {
    throw moveRefused(
      owner,
      `the sequence ${missing.name} was made while it was replicated`,
      'Send the request again when nobody does that, or move it with "how": "dump"',
    )
  }
  for (let i = 0; i < names.length; i += SEQUENCES) {
    const some = names.slice(i, i + SEQUENCES)
    const read = some.map(
      (name) => `select ${quoteLiteral(name)} as name, last_value::text, is_called from ${name}`,
    )
    const values = await from.unsafe<{ name: string; last_value: string; is_called: boolean }[]>(
      read.join(' union all '),
    )
    const set = values.map(
      ({ name, last_value, is_called }) =>
        `setval(${quoteLiteral(name)}::regclass, ${last_value}, ${is_called})`,
    )
    await to.unsafe(`select ${set.join(', ')}`)
  }
}

/**
 * Fills the materialized views that the source has filled; a view that another one reads comes first.
 * @throws {GatewayError} move_refused with the view whose query fails
 */
export async function refreshViews(
  source: DeployParts,
  owner: Owner,
  kept: string,
  there: Sql,
): Promise<void> {
  const filled = await asGateway(
    source,
    kept,
    (sql) => sql<{ name: string }[]>`
      select format('%I.%I', n.nspname, c.relname) as name
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'm' and c.relispopulated
    `,
  )
  if (filled.length === 0) return
  const names = filled.map(({ name }) => name)
  // pg_restore made them in the order in which they need each other.
  const inOrder = await there<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'm' and format('%I.%I', n.nspname, c.relname) in ${there(names)}
    order by c.oid
  `
  for (const { name } of inOrder) {
    await there.unsafe(`refresh materialized view ${name}`).catch((error) => {
      if (!isRefusal(error)) throw error
      const why = `the materialized view ${name} cannot be filled on the other server: ${error.message}`
      throw moveRefused(owner, why, 'Mend its query, or drop it')
    })
  }
}
