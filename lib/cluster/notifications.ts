import type { Log } from '../log.ts'
import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import { PLACED } from '../servers/placements.ts'
import type { Catalog } from '../tenancy/catalog/catalog.ts'
import type { Owner } from '../tenancy/names.ts'
import { RECORDED_BY, recorderOf } from '../tenancy/recorded-by.ts'
import { GATEWAYS_CHANGED } from './gateways.ts'
import type { Message, Messages } from './messages.ts'

/** Channel of the notifications between gateways, in the administrative database. */
export const CHANNEL = '_db_gateway'

/** Parts of a gateway that other gateways' changes concern. */
export interface Informed {
  gateways: { refresh(): void }
  calls: {
    forget(database: string): void
    forgetAll(): void
    retireSessions(database: string): void
    keyed: { followRename(from: string, to: string): void }
  }
  usage: { setAside(database: string): (to: string) => void }
  replicas:
    | { catchUp(database: string): void; catchUpAll(): void; hold(database: string): void }
    | undefined
  messages: Pick<Messages, 'onMessage'>
  pools: { forgetCounters(database: string): void }
  events: { noteCatalog(platform: string): void; noteFleet(platform: string): void }
  deploys: { stopHere(platform: string, requestId: string): void }
  catalog: Pick<Catalog, 'holderOf' | 'forget' | 'forgetAll' | 'findOwn' | 'use' | 'limits'>
  servers: {
    placements: { look(database: string): Promise<unknown>; reload(): Promise<void> }
  }
  log: Log
}

/** Payload of a notification: a database was placed on another server. */
interface Placed {
  change: typeof PLACED
  database: string
}

/** Payload of a notification: no further database of the fleet of a request is to be started. */
interface StopFleet {
  change: 'STOP'
  platform: string
  request_id: string
}

/** Payload of a notification: a row of the catalog that has changed. */
interface CatalogChange {
  /**
   * Operation on the row. RETIRE concerns no row: a gateway sends it to end the call sessions of a
   * database.
   */
  change: 'INSERT' | 'UPDATE' | 'DELETE' | 'RETIRE'
  database: string
  platform: string
  tenant_id: string | null
  /** Undefined if an older gateway created the trigger. */
  schema_name?: string | null
  owner_role: string | null
  /**
   * True if another stored schema was deployed; undefined if an older gateway created the trigger.
   */
  is_renamed?: boolean
  /** Whether calls are suspended or held, or what they are answered, has changed. Undefined: likewise. */
  is_suspended_anew?: boolean
  /** Whether the limits of its calls have changed. Undefined: likewise. */
  is_limited_anew?: boolean
  /** The name that the database had, of one that was renamed. */
  renamed_from?: string | null
  /** The gateway that has recorded its own deploy: see RECORDED_BY. */
  by?: string | null
}

/**
 * Creates a trigger on the catalog that notifies every change of a row: deploys, creation and
 * removal of databases, changes by hand.
 */
export async function prepareNotifications(sql: Sql): Promise<void> {
  await createTables(
    sql,
    `
    do $do$
    begin
      create or replace function _db_gateway_notify() returns trigger language plpgsql as $function$
      declare
        entry record := case when tg_op = 'DELETE' then old else new end;
        is_moved boolean := tg_op = 'UPDATE'
          and (old.database, old.tenant_id) is distinct from (new.database, new.tenant_id);
        -- A gateway that was killed leaves a hold that has lapsed.
        is_held_anew boolean := tg_op = 'UPDATE' and (old.held_for, old.hidden_as, coalesce(old.held_until > now(), false))
          is distinct from (new.held_for, new.hidden_as, coalesce(new.held_until > now(), false));
      begin
        -- The digest and version of functions are a cache: storing them does not change the
        -- database. No gateway caches labels.
        if tg_op = 'UPDATE' and to_jsonb(old) - array['functions_digest', 'functions_version', 'labels']
          = to_jsonb(new) - array['functions_digest', 'functions_version', 'labels']
        then
          return null;
        end if;
        perform pg_notify('${CHANNEL}', json_build_object(
          'change', case when is_moved then 'INSERT' else tg_op end,
          'database', entry.database,
          'platform', entry.platform,
          'tenant_id', entry.tenant_id,
          'schema_name', entry.schema_name,
          'owner_role', entry.owner_role,
          'is_renamed', case when tg_op = 'UPDATE' then old.stored_schema is distinct from new.stored_schema end,
          'is_suspended_anew', case when tg_op = 'UPDATE' then
            is_held_anew or (old.suspended_at, old.suspended_message, old.retry_after_s)
              is distinct from (new.suspended_at, new.suspended_message, new.retry_after_s) end,
          'is_limited_anew', case when tg_op = 'UPDATE' then old.limits is distinct from new.limits end,
          'renamed_from', case when is_moved and old.database <> new.database then old.database end,
          'by', current_setting('${RECORDED_BY}', true)
        )::text);
        if is_moved then
          perform pg_notify('${CHANNEL}', json_build_object(
            'change', 'DELETE',
            'database', old.database,
            'platform', old.platform,
            'tenant_id', old.tenant_id,
            'schema_name', old.schema_name,
            'owner_role', old.owner_role
          )::text);
        end if;
        return null;
      end $function$;
      if exists (
        select from pg_trigger
        where tgname = '_db_gateway_notify' and tgrelid = '_db_gateway_databases'::regclass
      ) then
        return;
      end if;
      create trigger _db_gateway_notify
        after insert or update or delete on _db_gateway_databases
        for each row execute function _db_gateway_notify();
    end $do$
  `,
  )
}

/** Handles a notification: invalidates the cache entries that it makes stale. */
export function onNotification(informed: Informed, payload: string): void {
  if (payload === GATEWAYS_CHANGED) {
    informed.gateways.refresh()
    return
  }
  const entry = parse(payload)
  if (!entry) return
  if (entry.change === 'STOP') {
    informed.deploys.stopHere(entry.platform, entry.request_id)
    return
  }
  if (entry.change === PLACED) {
    // Read from the catalog: the payload is not trusted.
    informed.servers.placements.look(entry.database).catch(() => {})
    return
  }
  if (isMessage(entry)) {
    informed.messages.onMessage(entry)
    return
  }
  if (entry.change === 'RETIRE') {
    retire(informed, entry.database)
    return
  }
  informed.events.noteCatalog(entry.platform)
  // This gateway has done so when its own deploy ended.
  if (entry.by !== recorderOf(informed.catalog)) informed.calls.forget(entry.database)
  informed.replicas?.catchUp(entry.database)
  const { platform, tenant_id: tenantId, schema_name: schema = null } = entry
  const owner: Owner = { platform, tenantId, schema }
  const known = informed.catalog.holderOf(entry.database)
  const isHandedOver = known !== undefined && known.role !== (entry.owner_role ?? null)
  const isRenamed = entry.is_renamed ?? true
  const isSuspendedAnew = entry.is_suspended_anew ?? true
  const isLimitedAnew = entry.is_limited_anew ?? true
  const isAnew = isHandedOver || isRenamed || isSuspendedAnew || isLimitedAnew
  if (entry.change === 'UPDATE' && !isAnew) return
  if (entry.schema_name === undefined) informed.catalog.forgetAll()
  informed.catalog.forget(owner, entry.database)
  if (entry.change !== 'UPDATE') informed.catalog.limits.drop(entry.database)
  if (entry.change === 'DELETE') informed.pools.forgetCounters(entry.database)
  // Read the new role and limits from the catalog: any role may send notifications, so the payload
  // is not trusted.
  if (isHandedOver || (entry.change === 'UPDATE' && isLimitedAnew))
    informed.catalog.findOwn(owner).catch(() => {})
  if (typeof entry.renamed_from === 'string') followRename(informed, entry.renamed_from, owner)
}

/**
 * Has what this gateway has counted and kept for a renamed database go on under its new name, before
 * another one takes the old name. The catalog says whether the platform has it: the payload is not
 * trusted.
 */
function followRename({ catalog, usage, calls }: Informed, from: string, owner: Owner): void {
  if (catalog.holderOf(from)?.platform !== owner.platform) return
  const giveTo = usage.setAside(from)
  catalog.findOwn(owner).then(
    (to = from) => {
      giveTo(to)
      if (to !== from) calls.keyed.followRename(from, to)
    },
    () => giveTo(from),
  )
}

/**
 * Returns what deploys tell the other gateways, and operators.
 * @param informed returns the parts of this gateway, once it is built
 */
export function tellOthers(informed: () => Informed) {
  return {
    retireSessions: (database: string) => tellToRetire(informed(), database),
    tellToStop: (platform: string, requestId: string) =>
      tellToStop(informed(), platform, requestId),
    tellFleet: (platform: string) => informed().events.noteFleet(platform),
  }
}

/**
 * Makes all gateways close the call sessions of a database: this one at once, the others on a
 * notification. Resolves when the notification is sent. Never rejects.
 */
async function tellToRetire(informed: Informed, database: string): Promise<void> {
  retire(informed, database)
  const payload = JSON.stringify({ change: 'RETIRE', database })
  await informed.catalog
    .use((sql) => sql`select pg_notify(${CHANNEL}, ${payload})`)
    .catch((error) =>
      informed.log.debug(`The other gateways were not told to retire sessions: ${error.message}`),
    )
}

/**
 * Tells all gateways to start no further database of the fleet of a request. An earlier gateway does
 * not know this notification.
 */
async function tellToStop(
  { catalog }: Pick<Informed, 'catalog'>,
  platform: string,
  requestId: string,
): Promise<void> {
  const stop: StopFleet = { change: 'STOP', platform, request_id: requestId }
  await catalog.use((sql) => sql`select pg_notify(${CHANNEL}, ${JSON.stringify(stop)})`)
}

function isMessage(entry: { change?: unknown }): entry is Message {
  return entry.change === 'ASK' || entry.change === 'ANSWER' || entry.change === 'TELL'
}

function retire({ calls, replicas }: Informed, database: string): void {
  calls.retireSessions(database)
  replicas?.hold(database)
}

/** Invalidates all caches: notifications may have been missed. */
export function forgetAll({ calls, catalog, replicas, gateways, servers }: Informed): void {
  calls.forgetAll()
  catalog.forgetAll()
  replicas?.catchUpAll()
  gateways.refresh()
  void servers.placements.reload()
}

/**
 * Parses a payload. Returns undefined for an invalid one: any role may send notifications on the
 * channel.
 */
function parse(payload: string): CatalogChange | StopFleet | Placed | Message | undefined {
  try {
    const entry = JSON.parse(payload) as { change?: unknown; database?: unknown } | null
    if (entry?.change === 'STOP') return entry as StopFleet
    if (entry && isMessage(entry)) return entry as Message
    return typeof entry?.database === 'string' ? (entry as CatalogChange | Placed) : undefined
  } catch {
    return undefined
  }
}
