import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import { fromPostgres } from '../../postgres/errors.ts'
import type { Sent } from '../../postgres/pipeline.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'
import { setRole } from '../../tenancy/catalog/catalog-table.ts'
import type { Owner } from '../../tenancy/names.ts'
import { databaseName } from '../../tenancy/names.ts'
import { markCatalog } from '../ledger/catalog-mark.ts'
import { closeLedger } from '../ledger/close.ts'
import { CARRY_OVER_ORIGINAL, isLedgerOfFirst, MARK_TAKEN_OVER } from '../ledger/original.ts'
import type { Old } from '../ledger/renew.ts'
import { readOld, renewLedger } from '../ledger/renew.ts'
import { createLedger } from '../ledger/tables.ts'
import type { DeployParts } from '../parts.ts'
import { STANDARD_SESSION, tryDeployLock } from '../run/session.ts'
import { lockWaitMs } from '../run/tries.ts'
import { untilFree } from './in-use.ts'
import { ofGatewayOr, ownedObjects } from './owned-objects.ts'
import { checkMayTake, type Owned, readOwner, takeDatabase } from './take-database.ts'

/**
 * Time to wait for a connection, in milliseconds; long, since clients do not retry a deploy as
 * readily as a call.
 */
const WAIT_MS = 60_000

/** Interval between attempts to get the lock that a running deploy holds, in milliseconds. */
const DEPLOY_POLL_MS = 50

/**
 * Longest wait for a lock, in milliseconds. Statements of others that queue behind the request wait
 * as long.
 */
const MAX_LOCK_WAIT_MS = 5_000

/**
 * Runs `work` in a platform's database as the gateway's own role. Names resolve in pg_catalog
 * alone, and settings of the database are overridden, so that nothing that the platform created or
 * set can affect `work`.
 * @throws {GatewayError} any error of `work` or of PostgreSQL
 */
export async function asGateway<T>(
  { pools, config }: DeployParts,
  database: string,
  work: (sql: Sql) => Promise<T>,
  maxLockWaitMs = MAX_LOCK_WAIT_MS,
): Promise<T> {
  const connection = await pools.keep(database, WAIT_MS)
  try {
    const setting = connection.sql.unsafe(`
      set role none;
      set search_path = pg_catalog, pg_temp;
      set default_transaction_read_only = off;
      ${STANDARD_SESSION}
      set lock_timeout = ${Math.min(config.lockTimeoutMs, maxLockWaitMs)};
    `)
    const [, result] = await Promise.all([send(setting), work(connection.sql)])
    return result
  } catch (error) {
    throw fromPostgres(error, database)
  } finally {
    await connection.close()
  }
}

/**
 * Like `asGateway`, but retries while sessions of the database hold locks; `work` may run several
 * times.
 * @param admin connection to the administrative database
 * @throws {GatewayError} database_in_use; any error of `asGateway`
 */
export async function asGatewayUntilFree<T>(
  parts: DeployParts,
  admin: Sql,
  database: string,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  return untilFree(admin, database, parts.config.lockTimeoutMs, () =>
    asGateway(parts, database, work, lockWaitMs()),
  )
}

/**
 * Hands the owner's database over: creates the ledger as the gateway's role and makes the
 * platform's role the owner of everything else. The role is created if it is missing. Runs for a
 * new database, and for one that was restored or created before the platform had a role. If others
 * may have worked in it as the gateway's role, the ledger is created again.
 * @param admin connection to the administrative database
 * @param also runs in the same transaction as the gateway's role; runs again if the transaction is
 *   retried
 * @param before the same, before anything is changed
 * @returns the platform's role; null if platforms share the gateway's role
 * @throws {GatewayError} name_conflict if the gateway's role may not hand over the database or an
 *   object with one of the ledger's names; database_in_use; query_timeout if a running deploy does
 *   not end
 */
export async function handOver(
  parts: DeployParts,
  admin: Sql,
  owner: Owner,
  also: (sql: Sql) => Promise<void> = async () => {},
  before: (sql: Sql) => Promise<void> = async () => {},
): Promise<string | null> {
  const database = databaseName(owner)
  const role = await parts.roles.ensure(admin, owner.platform)
  if (role !== null) await checkMayTake(admin, database, role)
  await asGatewayUntilFree(parts, admin, database, async (sql) => {
    const { owned, old } = await begin(sql, database, parts.config.deployTimeoutMs)
    await before(sql)
    const make = () => createLedger(sql, parts.secrets.current.ledgerKeyOf(database), role)
    // Statements whose answers are not needed yet are pipelined.
    const sent: Sent[] = []
    if (role === null) {
      sent.push(make())
    } else {
      const { previous, mark } = owned
      await takeDatabase(sql, database, role, owned)
      sent.push(takePublic(sql, role))
      if (previous !== role) sent.push(renewLedger(sql, database, 'all', old, make))
      // Without a mark, an older gateway handed the database over; it did not remove planted
      // objects.
      else if (mark === null) sent.push(renewLedger(sql, database, 'functions', old, make))
      else sent.push(make())
      if (old.hasSchema || old.tables.length > 0) await answers(sent.splice(0))
      sent.push(closeLedger(sql, role), giveAway(sql, database, role, previous))
    }
    sent.push(send(sql.unsafe(`${CARRY_OVER_ORIGINAL}; ${markCatalog(parts.catalogId)}`)))
    if (isLedgerOfFirst(old)) sent.push(send(sql.unsafe(MARK_TAKEN_OVER)))
    await answers(sent)
    await also(sql)
    await sql.unsafe('commit')
  })
  await setRole(admin, owner, role)
  parts.catalog.note({ database, platform: owner.platform, role })
  return role
}

/**
 * Begins a transaction and reads the owner and the existing ledger, under the deploy lock. The lock
 * is held until the connection closes, so no deploy runs while the ledger changes.
 */
async function begin(
  sql: Sql,
  database: string,
  limitMs: number,
): Promise<{ owned: Owned; old: Old }> {
  const giveUpAt = performance.now() + limitMs
  for (;;) {
    const [isLocked, , owned, old] = await Promise.all([
      tryDeployLock(sql),
      send(sql.unsafe('begin')),
      readOwner(sql),
      readOld(sql),
    ])
    if (isLocked) return { owned, old }
    await sql.unsafe('rollback')
    if (performance.now() > giveUpAt) {
      throw new GatewayError(
        'query_timeout',
        `A deploy to ${database} did not end within ${limitMs / 1000} s (DEPLOY_TIMEOUT_SECS)`,
        { database },
      )
    }
    await sleep(DEPLOY_POLL_MS)
  }
}

/**
 * Keeps the schema `public`, which holds the ledger, in the ownership of the gateway's role: the
 * owner of a schema may drop everything in it.
 */
async function takePublic(sql: Sql, role: string): Promise<void> {
  const query = sql.unsafe(`
    do $do$ begin
      if to_regnamespace('public') is null then
        create schema public;
      elsif (select nspowner from pg_namespace where nspname = 'public') <> current_user::regrole then
        alter schema public owner to current_user;
      end if;
    end $do$;
    grant usage, create on schema public to ${quoteIdentifier(role)} with grant option
  `)
  await send(query)
}

/**
 * Gives the platform's role the database and all objects in it that the gateway's role or the
 * previous owner has.
 */
async function giveAway(sql: Sql, database: string, role: string, previous: string): Promise<void> {
  const [name, db] = [quoteIdentifier(role), quoteIdentifier(database)]
  // The database comes first: the new owner of a schema needs CREATE on the database.
  const query = sql.unsafe(`
    alter database ${db} owner to ${name};
    revoke all on database ${db} from public;
    do $give$
    declare
      one record;
    begin
      for one in ${ownedObjects(ofGatewayOr(previous === role ? null : previous))} loop
        execute format('alter %s %s owner to %s', one.type, one.identity, ${quoteLiteral(name)});
      end loop;
    end $give$
  `)
  await send(query)
}
