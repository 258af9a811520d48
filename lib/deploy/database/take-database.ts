import { GatewayError } from '../../errors.ts'
import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier } from '../../postgres/quote.ts'

/**
 * Ownership of a database before it is handed over: its owner, the gateway's role, and the comment
 * on the ledger's schema that names its catalog.
 */
export interface Owned {
  previous: string
  self: string
  mark: string | null
}

/**
 * Checks that the gateway's role may give the database to `role`.
 * @param admin connection to the administrative database, since the gateway's role may be unable to
 *   connect to the other one
 * @throws {GatewayError} name_conflict if it may not
 */
export async function checkMayTake(admin: Sql, database: string, role: string): Promise<void> {
  const [row] = await admin<{ owner: string; self: string; may: boolean }[]>`
    select pg_get_userbyid(datdba) as owner, current_user as self,
      pg_has_role(datdba, 'usage') as may
    from pg_database where datname = ${database}
  `
  if (row && row.owner !== role && !row.may) throw notOurs(database, row.owner, row.self)
}

/**
 * Reads the ownership of the current database. The query is sent immediately, so it can be
 * pipelined.
 */
export async function readOwner(sql: Sql): Promise<Owned> {
  const [row] = await send(
    sql.unsafe<[Owned]>(`
      select pg_get_userbyid(datdba) as previous, current_user as self,
        obj_description(to_regnamespace('_db_gateway'), 'pg_namespace') as mark
      from pg_database where datname = current_database()
    `),
  )
  return row
}

/**
 * Gives the gateway's role the ledger, and the database itself, of a database that another role has
 * restored. As the owner it can then hand the database over to `role`.
 */
export async function takeDatabase(
  sql: Sql,
  database: string,
  role: string,
  { previous, self }: Owned,
): Promise<void> {
  if (previous === role || previous === self) return
  const objects = await sql<{ type: string; identity: string }[]>`
    with own (classid, objid, owner) as (
      select 'pg_namespace'::regclass, oid, nspowner from pg_namespace where nspname = '_db_gateway'
      union all
      select 'pg_class'::regclass, oid, relowner from pg_class
      where relkind in ('r', 'v') and (relnamespace::regnamespace::text = '_db_gateway'
        or relnamespace::regnamespace::text = 'public' and relname like '\\_db\\_gateway\\_%')
      union all
      select 'pg_proc'::regclass, oid, proowner from pg_proc
      where pronamespace::regnamespace::text = '_db_gateway'
    )
    select o.type, o.identity
    from own
    cross join pg_identify_object(own.classid, own.objid, 0) o
    where pg_get_userbyid(owner) = ${previous}
    order by own.classid <> 'pg_namespace'::regclass
  `
  const name = quoteIdentifier(database)
  await sql.unsafe(
    [
      `alter database ${name} owner to current_user`,
      ...objects.map(({ type, identity }) => `alter ${type} ${identity} owner to current_user`),
    ].join(';'),
  )
}

function notOurs(database: string, owner: string, self: string): GatewayError {
  return new GatewayError(
    'name_conflict',
    `Database ${database} belongs to role ${owner}; the gateway's role ${self} may not take it over`,
    {
      database,
      hint: `Run "alter database ${quoteIdentifier(database)} owner to ${quoteIdentifier(self)}" as a superuser; if its tables belong to ${owner} too, restore it as ${self} (pg_restore --no-owner)`,
    },
  )
}
