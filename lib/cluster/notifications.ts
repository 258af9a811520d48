import type { Log } from '../log.ts'
import { createTables } from '../postgres/create-tables.ts'
import type { Sql } from '../postgres/pools/connection.ts'
import type { Catalog } from '../tenancy/catalog/catalog.ts'
import type { Owner } from '../tenancy/names.ts'
import { GATEWAYS_CHANGED } from './gateways.ts'

/** What the gateways tell each other, in the administrative database. */
export const CHANNEL = '_db_gateway'

/** What has to know of changes that other gateways make. */
export interface Informed {
  gateways: { refresh(): void }
  calls: {
    forget(database: string): void
    forgetAll(): void
    retireSessions(database: string): void
  }
  replicas:
    | { catchUp(database: string): void; catchUpAll(): void; hold(database: string): void }
    | undefined
  catalog: Pick<Catalog, 'holderOf' | 'forget' | 'forgetAll' | 'findOwn' | 'use'>
  log: Log
}

/** A row of the catalog that has changed: the payload of a notification. */
interface CatalogChange {
  /** RETIRE: of no row, and a gateway says it; sessions for calls of the database are to end. */
  change: 'INSERT' | 'UPDATE' | 'DELETE' | 'RETIRE'
  database: string
  platform: string
  tenant_id: string | null
  /** Undefined: the trigger is that of a gateway of before. */
  schema_name?: string | null
  owner_role: string | null
  /** Whether another stored schema was deployed. Undefined: the trigger is that of a gateway of before. */
  is_renamed?: boolean
}

/**
 * Has the catalog tell of its changes itself: whoever deploys, creates or removes a database, by
 * hand too, has changed its row.
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
      begin
        -- What a gateway has found out of functions is no change of the database.
        if tg_op = 'UPDATE' and to_jsonb(old) - array['functions_digest', 'functions_version']
          = to_jsonb(new) - array['functions_digest', 'functions_version']
        then
          return null;
        end if;
        perform pg_notify('${CHANNEL}', json_build_object(
          'change', tg_op,
          'database', entry.database,
          'platform', entry.platform,
          'tenant_id', entry.tenant_id,
          'schema_name', entry.schema_name,
          'owner_role', entry.owner_role,
          'is_renamed', case when tg_op = 'UPDATE' then old.stored_schema is distinct from new.stored_schema end
        )::text);
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

/** Forgets what is not so any more. */
export function onNotification(informed: Informed, payload: string): void {
  if (payload === GATEWAYS_CHANGED) {
    informed.gateways.refresh()
    return
  }
  const entry = parse(payload)
  if (!entry) return
  if (entry.change === 'RETIRE') {
    retire(informed, entry.database)
    return
  }
  informed.calls.forget(entry.database)
  informed.replicas?.catchUp(entry.database)
  const { platform, tenant_id: tenantId, schema_name: schema = null } = entry
  const owner: Owner = { platform, tenantId, schema }
  const known = informed.catalog.holderOf(entry.database)
  const isHandedOver = known !== undefined && known.role !== (entry.owner_role ?? null)
  const isRenamed = entry.is_renamed ?? true
  if (entry.change === 'UPDATE' && !isHandedOver && !isRenamed) return
  if (entry.schema_name === undefined) informed.catalog.forgetAll()
  informed.catalog.forget(owner, entry.database)
  // From the catalog, not from what somebody said.
  if (isHandedOver) informed.catalog.findOwn(owner).catch(() => {})
}

/**
 * Has all gateways close the sessions for calls of a database: this one at once, the others when they
 * hear of it. Resolves once PostgreSQL tells them; it does not fail.
 */
export async function tellToRetire(informed: Informed, database: string): Promise<void> {
  retire(informed, database)
  const payload = JSON.stringify({ change: 'RETIRE', database })
  await informed.catalog
    .use((sql) => sql`select pg_notify(${CHANNEL}, ${payload})`)
    .catch((error) =>
      informed.log.debug(`The other gateways were not told to retire sessions: ${error.message}`),
    )
}

function retire({ calls, replicas }: Informed, database: string): void {
  calls.retireSessions(database)
  replicas?.hold(database)
}

/** Nothing was heard for a while: all may have changed. */
export function forgetAll({ calls, catalog, replicas, gateways }: Informed): void {
  calls.forgetAll()
  catalog.forgetAll()
  replicas?.catchUpAll()
  gateways.refresh()
}

/** Anybody may send something on the channel. */
function parse(payload: string): CatalogChange | undefined {
  try {
    const entry = JSON.parse(payload) as Partial<CatalogChange> | null
    return typeof entry?.database === 'string' ? (entry as CatalogChange) : undefined
  } catch {
    return undefined
  }
}
