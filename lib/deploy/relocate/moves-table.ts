import { addMissingColumn, createTables } from '../../postgres/create-tables.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../tenancy/names.ts'
import type { How } from './how.ts'

/**
 * How far a move is. `copying`: until the cutover, it can be undone. `undoing`: it is given up, and
 * what it has made goes. `moved`: the tenant is on the other server, and what is left is tidied up.
 */
export type MovePhase = 'copying' | 'undoing' | 'moved'

/** A move that runs, or that a killed gateway has left: a row of the catalog of `main`. */
export interface MoveRow extends Owner {
  id: string
  database: string
  /** Names of the servers. */
  from: string
  to: string
  phase: MovePhase
  how: How
  /** Name that the source has from the beginning of the copy. */
  kept: string
  startedAt: string
}

interface Row {
  id: string
  database: string
  platform: string
  tenant_id: string | null
  schema_name: string | null
  source: string
  target: string
  phase: MovePhase
  how: How
  kept: string
  started_at: string
}

/** Creates the table of moves in the catalog of `main`, if it does not exist. */
export async function prepareMoves(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    create table if not exists _db_gateway_moves (
      database text primary key,
      id uuid not null,
      platform text not null,
      tenant_id text,
      schema_name text,
      source text not null,
      target text not null,
      phase text not null default 'copying',
      how text not null default 'dump',
      kept text not null,
      -- somebody has asked to give it up
      is_stopped boolean not null default false,
      started_at timestamptz not null default now()
    );
    ${addMissingColumn('_db_gateway_moves', 'how', "text not null default 'dump'")}
  `,
  )
}

/** Returns all moves that have not ended. */
export async function readMoves(sql: Sql): Promise<MoveRow[]> {
  const rows = await sql<Row[]>`
    select id, database, platform, tenant_id, schema_name, source, target, phase, how, kept,
      to_json(started_at) as started_at
    from _db_gateway_moves m order by m.started_at
  `
  return rows.map(({ tenant_id, schema_name, source, target, started_at, ...row }) => ({
    ...row,
    tenantId: tenant_id,
    schema: schema_name,
    from: source,
    to: target,
    startedAt: started_at,
  }))
}

/** Returns the move of a database; undefined if it has none. */
export async function readMove(sql: Sql, database: string): Promise<MoveRow | undefined> {
  return (await readMoves(sql)).find((row) => row.database === database)
}

/** Records that a move begins. */
export async function addMove(
  sql: Sql,
  owner: Owner,
  { id, from, to, how, kept }: Pick<MoveRow, 'id' | 'from' | 'to' | 'how' | 'kept'>,
): Promise<void> {
  await sql`
    insert into _db_gateway_moves (database, id, platform, tenant_id, schema_name, source, target, how,
      kept)
    values (
      ${databaseName(owner)}, ${id}, ${owner.platform}, ${owner.tenantId}, ${owner.schema},
      ${from}, ${to}, ${how}, ${kept}
    )
  `
}

/** Forgets a move that has ended. */
export async function removeMove(sql: Sql, id: string): Promise<void> {
  await sql`delete from _db_gateway_moves where id = ${id}`
}

/**
 * Has a move be past its cutover, in the open transaction.
 * @returns false if it is given up
 */
export async function setMoved(sql: Sql, id: string): Promise<boolean> {
  const { count } = await sql`
    update _db_gateway_moves set phase = 'moved'
    where id = ${id} and phase = 'copying' and not is_stopped
  `
  return count > 0
}

/**
 * Gives a move up that is not past its cutover.
 * @returns its phase since; undefined if it has ended
 */
export async function giveUp(sql: Sql, id: string): Promise<MovePhase | undefined> {
  await sql`update _db_gateway_moves set phase = 'undoing' where id = ${id} and phase = 'copying'`
  const [row] = await sql<{ phase: MovePhase }[]>`
    select phase from _db_gateway_moves where id = ${id}
  `
  return row?.phase
}

/**
 * Asks for the end of a database's move, on whichever gateway it runs.
 * @returns false if none runs that can be given up
 */
export async function askToStop(sql: Sql, database: string): Promise<boolean> {
  const { count } = await sql`
    update _db_gateway_moves set is_stopped = true
    where database = ${database} and phase <> 'moved'
  `
  return count > 0
}

/** Returns whether somebody has asked for the end of a move, or another gateway has given it up. */
export async function isToStop(sql: Sql, id: string): Promise<boolean> {
  const [row] = await sql<{ is_stopped: boolean }[]>`
    select is_stopped or phase = 'undoing' as is_stopped from _db_gateway_moves where id = ${id}
  `
  return row?.is_stopped ?? true
}
