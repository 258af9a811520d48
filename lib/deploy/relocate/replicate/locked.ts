import { GatewayError } from '../../../errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../../tenancy/names.ts'
import { describeOwner } from '../../../tenancy/owner-identity.ts'
import type { DeployParts } from '../../parts.ts'
import { LOCK_FOR_MOVE } from '../../run/session.ts'

/** A source to which nothing is deployed. */
export interface Locked {
  /** What its ledger had when deploys ended. */
  ledger: string
  /** Process of PostgreSQL that keeps deploys off. */
  pid: number
  /** Lets deploys go on. May be called again. */
  release(): Promise<void>
}

/** Milliseconds to wait for a connection. */
const WAIT_MS = 60_000

/**
 * Keeps deploys off the owner's database, which are answered `tenant_busy`, with a session in it.
 * @throws {GatewayError} tenant_busy if one runs; pool_exhausted
 */
export async function lockDeploys({ pools }: DeployParts, owner: Owner): Promise<Locked> {
  const database = databaseName(owner)
  const connection = await pools.keep(database, WAIT_MS)
  try {
    const { sql } = connection
    await sql.unsafe(`
      set role none;
      set search_path = pg_catalog, pg_temp;
      set statement_timeout = 0;
      set idle_session_timeout = 0;
    `)
    const [lock] = await sql.unsafe<{ is_free: boolean }[]>(`select ${LOCK_FOR_MOVE} as is_free`)
    if (!lock!.is_free) {
      const message = `${describeOwner(owner)} is being deployed to`
      throw new GatewayError('tenant_busy', message, { database })
    }
    const ledger = await readLedger(sql)
    const [session] = await sql.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid')
    let closing: Promise<void> | undefined
    return {
      ledger,
      pid: session!.pid,
      release: () => {
        closing ??= connection.close()
        return closing
      },
    }
  } catch (error) {
    await connection.close()
    throw error
  }
}

/**
 * Checks that the source has the ledger that was copied.
 * @param sql session in the source
 * @throws {GatewayError} tenant_busy
 */
export async function checkLedger(sql: Sql, owner: Owner, ledger: string): Promise<void> {
  if ((await readLedger(sql)) === ledger) return
  throw new GatewayError(
    'tenant_busy',
    `${describeOwner(owner)} was deployed to while it was moved; it stays where it is`,
    { database: databaseName(owner), hint: 'Send the request again' },
  )
}

/** Digest of what is deployed, by the ledger. */
async function readLedger(sql: Sql): Promise<string> {
  const [row] = await sql<{ digest: string }[]>`
    select md5(coalesce((
        select string_agg(md5(m::text), '' order by id) from public._db_gateway_migrations m
      ), '')) || md5(coalesce((
        select string_agg(md5(f::text), '' order by section, name) from public._db_gateway_files f
      ), '')) as digest
  `
  return row!.digest
}
