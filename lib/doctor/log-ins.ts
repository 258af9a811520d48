import type { Connection, Sql } from '../postgres/pools/connection.ts'
import { asTrialRole, refusalOf } from '../tenancy/roles/trial.ts'
import { type Check, failed, ok, warning } from './check.ts'

/** Opens a connection, by default as the gateway's own role. */
export type Open = (options: { database: string; user?: string; password?: string }) => Connection

/**
 * Looks whether PostgreSQL admits the roles of the platforms: logs in as a role that is made for it
 * and dropped, and reads pg_hba.conf where the gateway's role may.
 */
export async function checkLogIns(sql: Sql, open: Open): Promise<Check[]> {
  return [...(await checkTrial(sql, open)), ...(await checkHba(sql))]
}

async function checkTrial(sql: Sql, open: Open): Promise<Check[]> {
  const [row] = await sql<{ database: string; may: boolean }[]>`
    select current_database() as database,
      (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as may
  `
  const { database, may } = row!
  if (!may) return []
  const refusal = await asTrialRole(sql, 'doctor00', async (credentials) => {
    const connection = open({ database, ...credentials })
    const asked = connection.sql.unsafe('').then(() => {})
    const said = await refusalOf(asked)
    await connection.close().catch(() => {})
    return said
  })
  if (refusal === undefined) return [ok('pg_hba', "PostgreSQL admits the platforms' roles")]
  return [
    failed(
      'pg_hba',
      `PostgreSQL does not admit a role such as those of the platforms: ${refusal}`,
      'Add a line for their databases to pg_hba.conf before the one that refuses them, such as "host all all <this address>/32 scram-sha-256", and run "select pg_reload_conf()"',
    ),
  ]
}

/** Reads pg_hba.conf; only a superuser may, unless others were granted it. */
async function checkHba(sql: Sql): Promise<Check[]> {
  const rules = await sql<
    { line: number; address: string | null; method: string | null; error: string | null }[]
  >`
    select line_number as line, address, auth_method as method, error from pg_hba_file_rules
  `.catch(() => [])
  return rules.flatMap(({ line, address, method, error }): Check[] => {
    if (error !== null) {
      const advice = 'Correct it and run "select pg_reload_conf()": until then the old rules hold'
      return [warning('pg_hba', `Line ${line} of pg_hba.conf: ${error}`, advice)]
    }
    const isFar = address !== null && !/^(127\.|::1$|samehost$)/.test(address)
    if (method !== 'trust' || !isFar) return []
    return [
      warning(
        'pg_hba',
        `Line ${line} of pg_hba.conf lets ${address} in without a password (trust)`,
        'Write scram-sha-256',
      ),
    ]
  })
}
