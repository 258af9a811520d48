import type { Sql } from '../../postgres/pools/connection.ts'

/** A catalog, and the installation that it belongs to. */
export interface Belonging {
  id: string
  database: string
  /** Id of the catalog of the installation's `main`; null if the catalog belongs to none yet. */
  main: string | null
}

/** How a catalog of another installation is taken over. */
export const TAKE_OVER =
  'to take it over, stop the gateways of that installation, and run "update _db_gateway_catalog set main_catalog = null" there'

/** Reads to which installation the catalog of the connection's database belongs; undefined if there is none. */
export async function readBelonging(sql: Sql): Promise<Belonging | undefined> {
  const [table] = await sql<{ is_there: boolean }[]>`
    select to_regclass('_db_gateway_catalog') is not null as is_there
  `
  if (!table!.is_there) return undefined
  // The table of an older gateway lacks the column.
  const [row] = await sql<Belonging[]>`
    select id::text, current_database()::text as database, to_jsonb(c) ->> 'main_catalog' as main
    from _db_gateway_catalog c
  `
  return row
}

/**
 * Returns why an installation may not use a catalog, in one line; undefined if it may.
 * @param mainId id of the catalog of its `main`; undefined if it has none yet
 */
export function whyForeign(
  { database, main }: Belonging,
  mainId: string | undefined,
): string | undefined {
  if (main === null || main === mainId) return undefined
  return `the catalog in the database ${database} belongs to another installation, whose main has the catalog ${main}: both would manage the same databases`
}

/**
 * Checks that the catalog of the connection's database, if there is one, belongs to the installation or to
 * none. Changes nothing.
 * @param mainId as of `joinInstallation`; undefined: the catalog is to be that of `main`
 * @throws {Error} as `joinInstallation`
 */
export async function checkInstallation(sql: Sql, mainId: string | undefined): Promise<void> {
  const belonging = await readBelonging(sql)
  const why = belonging && whyForeign(belonging, mainId ?? belonging.id)
  if (why !== undefined) throw new Error(`${why}; ${TAKE_OVER}`)
}

/**
 * Notes in a catalog to which installation it belongs, by the id of the catalog of `main`, its own for `main`
 * itself. Two installations that manage the same databases would take them for lost, deploy to them and drop
 * them.
 * @throws {Error} with a message of one line, if it belongs to another installation
 */
export async function joinInstallation(sql: Sql, mainId: string): Promise<void> {
  await sql`update _db_gateway_catalog set main_catalog = ${mainId} where main_catalog is null`
  await checkInstallation(sql, mainId)
}
