import { setTimeout as sleep } from 'node:timers/promises'
import { isPostgresError } from './errors.ts'
import type { Server } from './hosts/server.ts'
import type { Lease } from './pools/lease.ts'
import type { Pools } from './pools/pools.ts'

const SEE = 'see docs/pgbouncer.md'
const ADD = `add pooler=session to DATABASE_URL (${SEE})`

/** SQLSTATE of a startup packet with something that a pooler does not know. */
const PROTOCOL_VIOLATION = '08P01'

/** How often two sessions are compared: other clients of the pooler may come in between. */
const ROUNDS = 3

/** A pooler without a connection to spare lets its clients wait for minutes. */
const LIMIT_MS = 5000

/** Returns what to set where a pooler refuses the startup parameters; undefined for other errors. */
export function refusedByPooler(error: unknown): string | undefined {
  const isIt =
    isPostgresError(error) &&
    error.code === PROTOCOL_VIOLATION &&
    /startup parameter/.test(error.message)
  return isIt ? `a pooler is between, and refuses (${error.message}): ${ADD}` : undefined
}

/**
 * Looks whether a pooler is between that the gateway cannot work with: one that gives the statements
 * of a session to several connections, or that drops startup parameters.
 * A pooler is told by the process id of the log-in, which is not that of the server's process.
 * @returns what is wrong and what to set; undefined if the gateway can work
 */
export async function poolerProblem(pools: Pools, server: Server): Promise<string | undefined> {
  const { database } = server
  const one = await pools.lease(database)
  try {
    const isDirect = (await pidOf(one)) === one.connection.pid
    if (!isDirect) {
      const shared = await findSharing(pools, database, one)
      if (shared) return shared
      if (!server.pooler) return await findDropped(one)
    }
    return server.pooler ? await findOtherDefaults(one) : undefined
  } finally {
    await one.discard()
  }
}

async function pidOf({ sql }: Lease): Promise<number> {
  const [row] = await sql.unsafe<{ pid: number }[]>('select pg_backend_pid() as pid')
  return row!.pid
}

/** While one session is in a transaction, another has a connection of its own, and keeps it. */
async function findSharing(
  pools: Pools,
  database: string,
  one: Lease,
): Promise<string | undefined> {
  const other = await pools.lease(database)
  const compare = async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const before = await pidOf(one)
      await other.sql.unsafe('begin')
      const pids = [await pidOf(other), await pidOf(one)]
      await other.sql.unsafe('rollback')
      if (pids[0] === before || pids[1] !== before) return false
    }
    return true
  }
  try {
    const comparing = compare()
    comparing.catch(() => {})
    const isKept = await Promise.race([comparing, sleep(LIMIT_MS, undefined, { ref: false })])
    if (isKept === undefined) {
      return `a pooler is between that has no two connections for two sessions within ${LIMIT_MS / 1000} s: raise default_pool_size to MAX_CONNECTIONS_PER_POOL at least (${SEE})`
    }
    return isKept ? undefined : transactionMode()
  } catch (error) {
    if (!isPostgresError(error)) throw error
    return transactionMode(error.message)
  } finally {
    other.destroy()
  }
}

function transactionMode(cause?: string): string {
  const said = cause === undefined ? '' : ` (${cause})`
  return `a pooler is between in transaction or statement mode${said}: a session of the gateway keeps locks, settings, prepared statements and LISTEN. Set pool_mode = session for the gateway (${SEE})`
}

async function findDropped({ sql, connection }: Lease): Promise<string | undefined> {
  const [row] = await sql<{ setting: string }[]>`
    select setting from pg_settings where name = 'statement_timeout'
  `
  const isKept = Number(row!.setting) === connection.statementTimeoutMs
  return isKept ? undefined : `a pooler is between that drops startup parameters: ${ADD}`
}

/** RESET gives a session the server's defaults: these have to be what the gateway relies on. */
async function findOtherDefaults({ sql }: Lease): Promise<string | undefined> {
  const others = await sql<{ name: string; is: string; needed: string }[]>`
    select s.name, s.reset_val as is, n.needed
    from pg_settings s
    join (values
      ('TimeZone', 'UTC'), ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'),
      ('bytea_output', 'hex'), ('extra_float_digits', '1'), ('client_encoding', 'UTF8')
    ) n (name, needed) on n.name = s.name
    where s.reset_val <> n.needed and not (s.name = 'TimeZone' and s.reset_val = 'Etc/UTC')
    order by s.name
  `
  if (others.length === 0) return undefined
  const is = others.map((one) => `${one.name} is "${one.is}" instead of "${one.needed}"`).join(', ')
  return `a pooler does not pass on all settings, so that the server's defaults hold, and ${is}: set it in postgresql.conf or the provider's parameters (${SEE})`
}
