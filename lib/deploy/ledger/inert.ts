/**
 * Returns an SQL condition: planning a query of the table runs no code of its owner. The planner
 * simplifies the expressions of a table's indexes, statistics and CHECK constraints, with the rights
 * of whoever queries the table, and executes functions that are declared IMMUTABLE for that.
 * A lock that conflicts with SHARE UPDATE EXCLUSIVE keeps the table as it is.
 * @param table alias of pg_class
 */
export function isInert(table: string): string {
  return `(not exists (
      select from pg_index i
      where i.indrelid = ${table}.oid and (i.indexprs is not null or i.indpred is not null)
    ) and not exists (
      select from pg_statistic_ext s where s.stxrelid = ${table}.oid and s.stxexprs is not null
    ) and not exists (
      select from pg_constraint k where k.conrelid = ${table}.oid and k.contype = 'c'
    ) and not exists (
      select from pg_attribute g where g.attrelid = ${table}.oid and g.attgenerated <> ''
    ))`
}
