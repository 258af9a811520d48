/**
 * The catalogs that SCHEMA_VERSION reads, with their oids, which are the same in all versions of
 * PostgreSQL.
 */
export const READ_CATALOGS: Record<string, number> = {
  pg_proc: 1255,
  pg_type: 1247,
  pg_operator: 2617,
  pg_cast: 2605,
  pg_amproc: 2603,
  pg_namespace: 2615,
  pg_rewrite: 2618,
  pg_constraint: 2606,
  pg_trigger: 2620,
  pg_attrdef: 2604,
  pg_policy: 3256,
  pg_statistic_ext: 3381,
  pg_event_trigger: 3466,
  pg_inherits: 2611,
  pg_index: 2610,
  pg_class: 1259,
  pg_attribute: 1249,
  pg_db_role_setting: 2964,
}

const COUNTED = ['inserted', 'updated', 'deleted']

const COUNTS = Object.values(READ_CATALOGS).flatMap((oid) =>
  COUNTED.map((what) => `pg_catalog.pg_stat_get_tuples_${what}(${oid})`),
)

/**
 * Select items of a mark, texts to be joined by spaces: as long as the mark is the same, the catalogs
 * that SCHEMA_VERSION reads have not changed. It costs a new session a tenth of what SCHEMA_VERSION
 * does, since it reads counters in memory; most of that is finding each function by its name, so it
 * uses few. The counters count up with each row that is written to a catalog, and begin anew with
 * the statistics: after a crash, or when somebody resets them. A path says which database it is; the
 * setting, whether PostgreSQL counts. A session reports its counts up to 10 s after its commit
 * (PostgreSQL source, pgstat.c: PGSTAT_IDLE_INTERVAL), so a change may show as late as that.
 */
export const MARK_ITEMS = `
  array[${COUNTS}],
  pg_catalog.pg_relation_filepath(${READ_CATALOGS.pg_proc}),
  pg_catalog.pg_stat_get_bgwriter_stat_reset_time(),
  pg_catalog.current_setting('track_counts')
`

/** Expression for the mark; null where PostgreSQL does not count (track_counts = off). */
export const CHANGE_MARK = `
  case pg_catalog.current_setting('track_counts')
    when 'on' then pg_catalog.concat_ws(' ', ${MARK_ITEMS})
  end
`
