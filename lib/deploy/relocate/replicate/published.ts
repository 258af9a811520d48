/** Tables whose rows are replicated: a condition on `c`, of pg_class, and `n`, of pg_namespace. */
export const REPLICATED = `c.relkind = 'r' and c.relpersistence = 'p' and n.nspname !~ '^pg_'
  and n.nspname not in ('information_schema', '_db_gateway')
  and not (n.nspname = 'public' and c.relname ~ '^_db_gateway_')
  and not exists (
    select from pg_catalog.pg_depend d
    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e'
  )`
