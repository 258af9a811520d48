import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../../errors.ts'
import { isPostgresError } from '../../../postgres/errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { databaseName, type Owner } from '../../../tenancy/names.ts'
import { describeOwner } from '../../../tenancy/owner-identity.ts'
import { asGateway } from '../../database/handover.ts'
import type { DeployParts } from '../../parts.ts'
import { linkName } from './link.ts'

/** Milliseconds that transactions of the source get to end when replication begins. */
const LIMIT_MS = 20_000

/** Transactions that an error or a step names. */
const MAX_NAMED = 5

const TELL_EVERY_MS = 1000

const LOOK_EVERY_MS = 100

/** Milliseconds that a session gets to end. */
const TERMINATE_LIMIT_MS = 5000

/** A transaction that PostgreSQL waits for: of a session, or a prepared one. */
export interface Waited {
  pid: number | null
  prepared: string | null
  database: string
  role: string
  application: string | null
  /** Seconds since its beginning; null if PostgreSQL does not let the gateway's role know. */
  for_s: number | null
}

/**
 * Makes the slot on the source, from which on all changes are kept for the target. PostgreSQL waits for
 * the transactions that run, of all databases.
 * @param admin session of the source's administrative database
 * @param onWait is told every second which transactions are waited for
 * @throws {GatewayError} tenant_busy after LIMIT_MS, with the transactions; the signal's reason
 */
export async function makeSlot(
  source: DeployParts,
  admin: Sql,
  { id, owner }: { id: string; owner: Owner },
  signal: AbortSignal,
  onWait: (transactions: Waited[]) => void,
): Promise<void> {
  try {
    await asGateway(source, databaseName(owner), async (sql) => {
      // The wait is one for locks.
      await sql.unsafe(`set statement_timeout = ${LIMIT_MS}; set lock_timeout = 0`)
      const [session] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`
      let isMade = false
      const making = sql`select pg_create_logical_replication_slot(${linkName(id)}, 'pgoutput')`
        .execute()
        .finally(() => {
          isMade = true
        })
      making.catch(() => {})
      let toldAt = performance.now()
      try {
        while (!isMade) {
          await Promise.race([making, sleep(LOOK_EVERY_MS)])
          if (isMade) break
          if (signal.aborted) await admin`select pg_cancel_backend(${session!.pid})`
          if (performance.now() - toldAt < TELL_EVERY_MS) continue
          toldAt = performance.now()
          onWait(await readTransactions(admin))
        }
      } catch (error) {
        // Without `admin` nobody would end the wait. A slot that comes after the move was undone would stay.
        await terminate(source, session!.pid)
        throw error
      }
      await making
    })
  } catch (error) {
    signal.throwIfAborted()
    throw await slotError(admin, owner, error)
  }
  signal.throwIfAborted()
}

/** Ends a session of the source by another one, and waits for its end. */
async function terminate({ catalog }: DeployParts, pid: number): Promise<void> {
  await catalog
    .use((sql) => sql`select pg_terminate_backend(${pid}, ${TERMINATE_LIMIT_MS})`)
    .catch(() => {})
}

/** The transactions that have written something, or are prepared to; the first one comes first. */
async function readTransactions(admin: Sql): Promise<Waited[]> {
  const rows = await admin<Waited[]>`
    select pid, null as prepared, datname::text as database, usename::text as role,
      application_name as application, xact_start as since,
      round(extract(epoch from clock_timestamp() - xact_start))::float8 as for_s
    from pg_stat_activity
    where backend_xid is not null and pid <> pg_backend_pid()
    union all
    select null, gid, database::text, owner::text, null, prepared,
      round(extract(epoch from clock_timestamp() - prepared))::float8
    from pg_prepared_xacts
    order by since limit ${MAX_NAMED}
  `
  return rows.map(({ pid, prepared, database, role, application, for_s }) => ({
    ...{ pid, prepared, database, role, application, for_s },
  }))
}

/** Says who keeps replication from beginning. */
async function slotError(admin: Sql, owner: Owner, error: unknown): Promise<unknown> {
  const code = error instanceof GatewayError ? error.code : isPostgresError(error) && error.code
  if (code !== 'query_timeout' && code !== '57014') return error
  return new GatewayError(
    'tenant_busy',
    `${describeOwner(owner)} cannot be moved by logical replication yet: transactions of its server have not ended within ${LIMIT_MS / 1000} s`,
    {
      database: databaseName(owner),
      transactions: await readTransactions(admin),
      hint: 'Send the request again when they have ended, or end them: a session with pg_terminate_backend(pid), a prepared one with "rollback prepared"',
    },
  )
}
