import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'

/** The only view among the ledger's relations. */
export const LEDGER_VIEW = '_db_gateway_seeders'

/**
 * Describes what others added to the ledger's tables in `public` while they worked as the owner's
 * role: objects that would run code there or would keep the tables from being created again. Event
 * triggers count too, since they run on any DDL.
 */
export async function findPlanted(sql: Sql): Promise<string[]> {
  const rows = await sql<{ what: string }[]>`
    with ledger as (
      select oid, relname, relkind, relrowsecurity or relforcerowsecurity as has_security
      from pg_class
      where relnamespace = 'public'::regnamespace and relname like '\\_db\\_gateway\\_%'
        and relkind not in ('i', 'S')
    ), read as (
      select oid, relname from ledger
      union all
      select oid, relname from pg_class
      where relnamespace = to_regnamespace('_db_gateway') and relkind = 'r'
    )
    -- The planner executes functions in them for whoever reads the table: see isInert.
    select format('expressions of the index %s', i.indexrelid::regclass) as what
    from pg_index i join read r on r.oid = i.indrelid
    where i.indexprs is not null or i.indpred is not null
    union all
    select format('statistics %I of %s', s.stxname, r.oid::regclass)
    from pg_statistic_ext s join read r on r.oid = s.stxrelid
    union all
    select format('constraint %I of %s', k.conname, r.oid::regclass)
    from pg_constraint k join read r on r.oid = k.conrelid
    -- Only these are read with a condition.
    where k.contype = 'c' and r.relname = 'answers'
    union all
    select format('trigger %I on %s', t.tgname, l.oid::regclass)
    from pg_trigger t join ledger l on l.oid = t.tgrelid where not t.tgisinternal
    union all
    select format('rule %I on %s', r.rulename, l.oid::regclass)
    from pg_rewrite r join ledger l on l.oid = r.ev_class where r.rulename <> '_RETURN'
    union all
    select format('row level security of %s', oid::regclass) from ledger where has_security
    union all
    select format('inheritance of %s', l.oid::regclass)
    from pg_inherits i join ledger l on l.oid in (i.inhrelid, i.inhparent)
    union all
    select format('column %I of %s', a.attname, l.oid::regclass)
    from ledger l
    join pg_attribute a on a.attrelid = l.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where l.relkind = 'r' and t.typnamespace <> 'pg_catalog'::regnamespace
    union all
    select format('foreign key %I of %s', c.conname, c.conrelid::regclass)
    from pg_constraint c join ledger l on l.oid = c.confrelid where c.contype = 'f'
    union all
    select format('%s, which is no table', oid::regclass) from ledger
    where relkind <> 'r' and not (relkind = 'v' and relname = ${LEDGER_VIEW})
    union all
    select format('event trigger %I', evtname) from pg_event_trigger e
    where not exists (
      select from pg_depend d
      where d.classid = 'pg_event_trigger'::regclass and d.objid = e.oid and d.deptype = 'e'
    )
    order by what
  `
  return rows.map(({ what }) => what)
}

/** Returns the error of a handover that found such additions. */
export function plantedError(database: string, what: string[]): GatewayError {
  return new GatewayError(
    'name_conflict',
    `Database ${database} cannot be handed over to the role of its platform: objects that the gateway did not make can affect its ledger (${what.join('; ')})`,
    {
      database,
      hint: "Find out who made them, drop them as the gateway's role or a superuser, then deploy again",
    },
  )
}
