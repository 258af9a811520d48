import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import type { Owner } from '../../tenancy/names.ts'
import { describeOwner } from '../../tenancy/owner-identity.ts'
import { ofGatewayOr, ownedObjects } from '../database/owned-objects.ts'
import { OTHER_PRIVILEGES } from './other-privileges.ts'

/** Objects that an error names. */
const MAX_NAMED = 5

/** What keeps a database from being moved, with what to do. */
interface Obstacle {
  what: string
  names: string[]
  hint: string
}

/** Objects of a database that keep it from being moved. */
export interface Objects {
  what: string
  hint: string
  /** Reads their names, as `name`. */
  sql: string
}

/** Kinds of objects that pg_dump leaves out, or that the platform's role cannot make anew. */
const OBSTACLES: Objects[] = [
  {
    what: "tables whose row level security is forced, of which the platform's role cannot read all rows",
    hint: 'Move it by hand, as a superuser, or end "force row level security" for the move',
    sql: `select c.oid::regclass::text as name from pg_class c
      where c.relkind in ('r', 'p') and c.relrowsecurity and c.relforcerowsecurity`,
  },
  {
    what: 'objects in a tablespace',
    hint: 'Move them to the default tablespace: the other server may not have theirs',
    sql: `select c.oid::regclass::text as name from pg_class c where c.reltablespace not in
      (0, (select oid from pg_tablespace where spcname = 'pg_global'))`,
  },
  {
    what: 'privileges of other roles on the database itself',
    hint: 'Revoke them, and grant them again on the other server',
    sql: `select distinct r.rolname::text as name
      from pg_database d cross join aclexplode(d.datacl) a join pg_roles r on r.oid = a.grantee
      where d.datname = current_database() and r.oid not in (d.datdba, current_user::regrole)`,
  },
  {
    what: 'tables and views with names that the gateway keeps for its own',
    hint: 'Rename them',
    sql: `select c.oid::regclass::text as name from pg_class c
      where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname like '\\_db\\_gateway\\_%'
        and c.relnamespace = 'public'::regnamespace and c.relowner <> current_user::regrole`,
  },
  {
    what: 'publications',
    hint: 'Drop them, and create them again on the other server',
    // A move by replication has one of its own.
    sql: "select pubname::text as name from pg_publication where pubname !~ '^_db_gateway_move_'",
  },
  {
    what: 'subscriptions',
    hint: 'Drop them, and create them again on the other server',
    sql: `select subname::text as name from pg_subscription
      where subdbid = (select oid from pg_database where datname = current_database())`,
  },
  {
    what: 'event triggers',
    hint: 'Drop them, and create them again on the other server as a superuser',
    sql: `select evtname::text as name from pg_event_trigger e where not exists (
      select from pg_depend d
      where d.classid = 'pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e'
    )`,
  },
  {
    what: 'prepared transactions',
    hint: 'End them with "commit prepared" or "rollback prepared"',
    sql: 'select gid as name from pg_prepared_xacts where database = current_database()',
  },
  {
    what: 'foreign tables with a user mapping, whose password pg_dump does not read for all roles',
    hint: 'Drop the user mappings, and create them again on the other server',
    sql: "select format('%s on %s', usename, srvname) as name from pg_user_mappings",
  },
]

/** That EXECUTE was taken from PUBLIC must not be forgotten on the other server. */
const CHANGED_PRIVILEGES: Objects = {
  what: 'other privileges on what is of PostgreSQL or of extensions than they come with',
  hint: 'Grant or revoke them as they were, and again on the other server',
  sql: OTHER_PRIVILEGES,
}

/** Returns the names of the objects that a database has, at most `MAX_NAMED`. */
export async function findNames(sql: Sql, { sql: query }: Objects): Promise<string[]> {
  const rows = await sql.unsafe<{ name: string }[]>(`${query} order by 1 limit ${MAX_NAMED}`)
  return rows.map(({ name }) => name)
}

/**
 * Checks that pg_dump and pg_restore move everything of the session's database.
 * @param sql session of the gateway's own role there
 * @param role role of the platform
 * @param baseTemplate the database that those of the other server come from; another one than template0 has
 *   privileges of its own
 * @throws {GatewayError} move_refused, with what to do
 */
export async function checkMovable(
  sql: Sql,
  owner: Owner,
  role: string,
  baseTemplate: string,
): Promise<void> {
  const found: Obstacle[] = []
  const isPlain = baseTemplate === 'template0'
  for (const objects of isPlain ? [...OBSTACLES, CHANGED_PRIVILEGES] : OBSTACLES) {
    const names = await findNames(sql, objects)
    if (names.length > 0) found.push({ what: objects.what, names, hint: objects.hint })
  }
  const others = await sql.unsafe<{ type: string; identity: string; owner: string }[]>(
    ownedObjects(`not (${ofGatewayOr(role)} or pg_get_userbyid(owner) = ${quoteLiteral(role)})`),
  )
  if (others.length > 0) {
    found.push({
      what: 'objects of other roles',
      names: others.slice(0, MAX_NAMED).map((one) => `${one.type} ${one.identity} (${one.owner})`),
      hint: `Give them to ${role} with "alter … owner to"`,
    })
  }
  if (found.length > 0) throw refused(owner, found)
}

/**
 * Checks that the other server has the extensions of the database.
 * @param sql session in the database
 * @param there session in a database of the other server
 * @throws {GatewayError} move_refused
 */
export async function checkExtensions(sql: Sql, there: Sql, owner: Owner): Promise<void> {
  const rows = await sql<{ name: string }[]>`select extname::text as name from pg_extension`
  const names = rows.map(({ name }) => name)
  const has = await there<{ name: string }[]>`select name::text from pg_available_extensions`
  const missing = names.filter((name) => !has.some((one) => one.name === name))
  if (missing.length === 0) return
  throw moveRefused(
    owner,
    `the other server does not have the extensions ${missing.join(', ')}`,
    'Install them there',
  )
}

/**
 * Checks that the other server has the roles that have privileges in the database, or that its policies
 * name.
 * @param sql session of the gateway's own role in the database
 * @param there session in a database of the other server
 * @param role role of the platform, which is made there
 * @throws {GatewayError} move_refused
 */
export async function checkRoles(sql: Sql, there: Sql, owner: Owner, role: string): Promise<void> {
  const rows = await sql<{ name: string }[]>`
    select distinct r.rolname::text as name
    from pg_shdepend d join pg_roles r on r.oid = d.refobjid
    where d.dbid = (select oid from pg_database where datname = current_database())
      and d.refclassid = 'pg_authid'::regclass and d.deptype in ('a', 'r')
      and r.rolname not in (current_user, ${role})
    order by 1
  `
  const has = await there<{ name: string }[]>`select rolname::text as name from pg_roles`
  const names = rows.map(({ name }) => name)
  const missing = names.filter((name) => !has.some((one) => one.name === name))
  if (missing.length === 0) return
  throw moveRefused(
    owner,
    `the other server does not have the roles ${missing.slice(0, MAX_NAMED).join(', ')}, which have privileges in it`,
    'Create them there, or revoke their privileges',
  )
}

/** Returns the error of a move that neither way can do. */
export function moveRefused(owner: Owner, why: string, hint: string): GatewayError {
  return new GatewayError('move_refused', `${describeOwner(owner)} cannot be moved: ${why}`, {
    hint,
  })
}

function refused(owner: Owner, found: Obstacle[]): GatewayError {
  const whats = found.map(({ what, names }) => `${what} (${names.join(', ')})`)
  const hints = found.map(({ hint }) => hint)
  return moveRefused(owner, `it has ${whats.join('; ')}`, hints.join('. '))
}
