import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { fromPostgres } from '../../postgres/errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Lease } from '../../postgres/pools/lease.ts'
import { BeingMoved } from '../../tenancy/catalog/moved-away.ts'
import { databaseLock, followedLock } from '../../tenancy/database-lock.ts'
import type { DeployParts } from '../parts.ts'

/** Milliseconds that the lock's session may take to open. */
const ADMIN_WAIT_MS = 60_000

/** Interval between attempts to get a lock that another session holds, in milliseconds. */
const POLL_MS = 50

/** Milliseconds after which the log tells once that a lock is waited for. */
const TELL_AFTER_MS = 10_000

/** Longest name of a host in application_name, whose 63 bytes have the time after it. */
const MAX_HOST = 15

/** Parts that take locks. */
type LockParts = Pick<DeployParts, 'config' | 'log'>

/** A session that holds the lock of a database. */
interface Holder {
  pid: number
  role: string | null
  /** The gateways' name, the host and process of the gateway, and since when it holds the lock. */
  application: string | null
  client: string | null
}

/**
 * Runs `work` under an advisory lock that keeps all gateways from creating or dropping a database
 * of that name. The lock belongs to the session, so it ends with the connection.
 * @param gone ends the wait for the lock and for its connection, and nothing later, when whoever asks for it is gone
 * @throws {GatewayError} tenant_busy as `lockDatabase`; the reason of `gone`; any error of `work`,
 *   mapped by `fromPostgres`
 */
export async function withDatabaseLock<T>(
  parts: LockParts & Pick<DeployParts, 'pools' | 'server'>,
  name: string,
  work: (admin: Sql) => Promise<T>,
  gone?: AbortSignal,
): Promise<T> {
  const lease = await leaseUntil(parts, gone)
  try {
    // The session may be idle for as long as the work takes.
    await lease.sql`select set_config('statement_timeout', '0', false),
      set_config('idle_session_timeout', '0', false)`
    await lockDatabase(parts, lease.sql, name, gone)
    return await work(lease.sql)
  } catch (error) {
    throw fromPostgres(error, name)
  } finally {
    await lease.discard()
  }
}

/** Leases the lock's connection; what comes after whoever asks is gone goes back. */
async function leaseUntil(
  { pools, server }: Pick<DeployParts, 'pools' | 'server'>,
  gone: AbortSignal | undefined,
): Promise<Lease> {
  gone?.throwIfAborted()
  const leasing = pools.lease(server.database, { waitMs: ADMIN_WAIT_MS })
  if (!gone) return leasing
  return new Promise((resolve, reject) => {
    const leave = () => {
      reject(gone.reason)
      leasing.then(
        (lease) => lease.release(),
        () => {},
      )
    }
    gone.addEventListener('abort', leave, { once: true })
    leasing.then(resolve, reject).finally(() => gone.removeEventListener('abort', leave))
  })
}

/**
 * Takes the lock of `withDatabaseLock` for one more name, until the session ends. application_name of
 * the session tells others who has it, and since when. Waits for DEPLOY_TIMEOUT_SECS, which limits most
 * of what is done under such a lock; asks again and again, so that nothing is left waiting in PostgreSQL
 * when the gateway is killed or `gone` ends the wait.
 * @throws {GatewayError} tenant_busy, with the holder, if the lock is not free by then, and at once if
 *   the database is being replicated to another server; the reason of `gone`
 */
export async function lockDatabase(
  { config, log }: LockParts,
  admin: Sql,
  name: string,
  gone?: AbortSignal,
): Promise<void> {
  const started = performance.now()
  for (let isTold = false; ; await sleep(POLL_MS)) {
    gone?.throwIfAborted()
    const { is_free: isFree, is_still: isStill } = await tryLock(admin, name)
    if (isFree) return
    if (!isStill) throw new BeingMoved(name, name)
    const waitedMs = performance.now() - started
    if (waitedMs > config.deployTimeoutMs) throw await stillLocked(admin, name, waitedMs)
    if (isTold || waitedMs < TELL_AFTER_MS) continue
    isTold = true
    const holder = await readHolder(admin, name)
    log.info(`A request waits for another one that makes, changes or drops ${name}`, {
      database: name,
      holder: holder && describeHolder(holder),
    })
  }
}

async function tryLock(admin: Sql, name: string): Promise<{ is_free: boolean; is_still: boolean }> {
  const who = ` ${hostname().slice(0, MAX_HOST)}:${process.pid} since `
  const [lock] = await admin<{ is_free: boolean; is_still: boolean }[]>`
    select
      case when pg_try_advisory_lock(${databaseLock(admin, name)}) then set_config(
        'application_name',
        -- Another lock of this session has left its own there.
        regexp_replace(current_setting('application_name'), ' \\S+ since \\S+$', '') || ${who}
          || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        false
      ) is not null else false end as is_free,
      pg_try_advisory_xact_lock_shared(${followedLock(admin, name)}) as is_still
  `
  return lock!
}

/** Returns the session that holds the lock of a database; undefined if it has just ended. */
async function readHolder(admin: Sql, name: string): Promise<Holder | undefined> {
  const [holder] = await admin<Holder[]>`
    select a.pid, a.usename::text as role, nullif(a.application_name, '') as application,
      host(a.client_addr) as client
    from (select ${databaseLock(admin, name)}) as key (class, id)
    join pg_locks l on l.classid::bigint = key.class::bigint & 4294967295
      and l.objid::bigint = key.id::bigint & 4294967295
    join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 2
      and l.database = (select oid from pg_database where datname = current_database())
    limit 1
  `
  return holder
}

async function stillLocked(admin: Sql, name: string, waitedMs: number): Promise<GatewayError> {
  const holder = await readHolder(admin, name)
  const by = holder ? `: ${describeHolder(holder)}` : ''
  return new GatewayError(
    'tenant_busy',
    `Another request makes, changes or drops ${name}, for ${Math.round(waitedMs / 1000)} s already${by}`,
    {
      database: name,
      ...(holder && { sessions: [holder] }),
      hint: 'Send the request again when it has ended, or end its session with pg_terminate_backend(pid)',
    },
  )
}

function describeHolder({ pid, application, client }: Holder): string {
  return `${application ?? 'a session'}${client ? ` from ${client}` : ''}, process ${pid} of PostgreSQL`
}
