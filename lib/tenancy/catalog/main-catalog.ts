import type { Sql } from '../../postgres/pools/connection.ts'

/**
 * Notes in a catalog to which installation it belongs, by the id of the catalog of `main`, its own for `main`
 * itself. Two installations that manage the same databases would take them for lost, deploy to them and drop
 * them.
 * @throws {Error} with a message of one line, if it belongs to another installation
 */
export async function joinInstallation(sql: Sql, mainId: string): Promise<void> {
  await sql`update _db_gateway_catalog set main_catalog = ${mainId} where main_catalog is null`
  const [row] = await sql<{ main: string; database: string }[]>`
    select main_catalog::text as main, current_database()::text as database
    from _db_gateway_catalog where main_catalog <> ${mainId}
  `
  if (!row) return
  throw new Error(
    `the catalog in the database ${row.database} belongs to another installation, whose main has the catalog ${row.main}: both would manage the same databases; to take it over, stop the gateways of that installation, and run "update _db_gateway_catalog set main_catalog = null" there`,
  )
}
