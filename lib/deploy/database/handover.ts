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
import { lockWaitMs } from '../run/tries.ts'
import { untilFree } from './in-use.ts'
import { ofGatewayOr, ownedObjects } from './owned-objects.ts'
import { checkMayTake, type Owned, readOwner, takeDatabase } from './take-database.ts'

/** A deploy waits for it, and is not repeated so easily. */
const WAIT_MS = 60_000

/** Between two looks at the lock that a deploy holds. */
const DEPLOY_POLL_MS = 50

/** All that comes behind it waits as long. */
const MAX_LOCK_WAIT_MS = 5_000

/**
 * Runs `work` in a platform's database as the gateway's own role. What the platform has made there,
 * or has set for the database, must not come into it: names are found in pg_catalog alone.
 * @throws {GatewayError} what `work` throws, and what PostgreSQL says
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
 * As `asGateway`, in a database that others may be using: it is tried again, and `work` may be done
 * several times. `admin` is a connection to the administrative database.
 * @throws {GatewayError} database_in_use, and as `asGateway`
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
 * Sees to it that the owner's database has its ledger, and that the platform's role, which is
 * created where it is missing, has everything else in it: the first time for a new database, and
 * for one that was made before there was such a role, or was restored. The ledger is made anew where
 * others may have worked in it as the gateway. `admin` is a connection to the administrative
 * database. `also` is done in the same transaction in the owner's database, as the gateway's role; more than
 * once where the transaction is tried again.
 * @returns the role; null where platforms share the gateway's
 * @throws {GatewayError} name_conflict where the database, or what goes by the names of the ledger,
 *   is not the gateway's to hand over; database_in_use
 */
export async function handOver(
  parts: DeployParts,
  admin: Sql,
  owner: Owner,
  also: (sql: Sql) => Promise<void> = async () => {},
): Promise<string | null> {
  const database = databaseName(owner)
  const role = await parts.roles.ensure(admin, owner.platform)
  if (role !== null) await checkMayTake(admin, database, role)
  await asGatewayUntilFree(parts, admin, database, async (sql) => {
    const { owned, old } = await begin(sql, database, parts.config.deployTimeoutMs)
    const make = () => createLedger(sql, parts.secrets.current.ledgerKeyOf(database), role)
    // What needs no answer is sent behind what does.
    const sent: Sent[] = []
    if (role === null) {
      sent.push(make())
    } else {
      const { previous, mark } = owned
      await takeDatabase(sql, database, role, owned)
      sent.push(takePublic(sql, role))
      if (previous !== role) sent.push(renewLedger(sql, database, 'all', old, make))
      // A handover by a gateway of before has left what was planted.
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
 * Begins a transaction, and reads what there is. Nobody deploys to the database until the connection is
 * closed: its ledger is about to be another.
 */
async function begin(
  sql: Sql,
  database: string,
  limitMs: number,
): Promise<{ owned: Owned; old: Old }> {
  const giveUpAt = performance.now() + limitMs
  for (;;) {
    const [[row], , owned, old] = await Promise.all([
      send(
        sql.unsafe<[{ locked: boolean }]>(
          `select pg_try_advisory_lock(hashtext('_db_gateway_deploy')) as locked`,
        ),
      ),
      send(sql.unsafe('begin')),
      readOwner(sql),
      readOld(sql),
    ])
    if (row.locked) return { owned, old }
    await sql.unsafe('rollback')
    if (performance.now() > giveUpAt) {
      throw new GatewayError('query_timeout', `A deploy to ${database} has not ended`, { database })
    }
    await sleep(DEPLOY_POLL_MS)
  }
}

/** Who owns a schema may drop all that is in it, and the ledger is in `public`. */
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

/** The database, and what the gateway's role, or who owned it before, has made in it. */
async function giveAway(sql: Sql, database: string, role: string, previous: string): Promise<void> {
  const [name, db] = [quoteIdentifier(role), quoteIdentifier(database)]
  // First: who gets a schema must be allowed to create one.
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
