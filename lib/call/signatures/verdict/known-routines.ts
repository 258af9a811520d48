import { ANYTHING, CLOSE, type Effects, noEffects, RESET, unknownEffects } from './effects.ts'

const words = (text: string): Set<string> => new Set(text.trim().split(/\s+/))

/** Built-in VOLATILE functions that only read. */
const READS = words(`
  clock_timestamp timeofday random random_normal array_sample array_shuffle gen_random_uuid uuidv4
  uuidv7 pg_sleep pg_sleep_for pg_sleep_until pg_relation_size pg_table_size pg_indexes_size
  pg_total_relation_size pg_database_size pg_is_in_recovery pg_current_wal_lsn current_query
`)

/** Built-in VOLATILE functions that write and leave nothing in the session. */
const WRITES = words(`
  nextval pg_notify pg_cancel_backend pg_terminate_backend pg_advisory_xact_lock
  pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
  lo_create lo_creat lo_from_bytea lo_get lo_put lo_unlink tsvector_update_trigger
  tsvector_update_trigger_column suppress_redundant_updates_trigger
`)

/** Built-in functions that are not VOLATILE but fail on a replica. */
const TAKES_TRANSACTION_ID = words('txid_current pg_current_xact_id')

/** VOLATILE functions of PostgreSQL's own extensions that only read. */
const EXTENSION_READS = words(`
  gen_random_bytes gen_salt pgp_sym_encrypt pgp_sym_encrypt_bytea pgp_pub_encrypt
  pgp_pub_encrypt_bytea uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 normal_rand
  pg_stat_statements pg_stat_statements_info
`)

/** Functions of these extensions that write and leave nothing in the session. */
const EXTENSION_WRITES = words(`
  moddatetime insert_username autoinc lo_manage pg_stat_statements_reset postgres_fdw_handler
  postgres_fdw_validator
`)

/** Functions of these extensions whose effect on the session a reset undoes. */
const EXTENSION_RESET = words('set_limit')

/** Functions in C that are declared IMMUTABLE in PostgreSQL 15 but are not. */
const NOT_AS_DECLARED = words('isn_weak')

/** Functions in C that run a query, given as an argument or implied by a name. */
const RUNS_ANYTHING = words(`
  query_to_xml query_to_xmlschema query_to_xml_and_xmlschema table_to_xml table_to_xmlschema
  table_to_xml_and_xmlschema schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
  database_to_xml database_to_xmlschema database_to_xml_and_xmlschema cursor_to_xml
  cursor_to_xmlschema ts_stat ts_rewrite crosstab crosstab2 crosstab3 crosstab4 crosstab_hash
  connectby xpath_table
`)

/** Functions that return the value of any setting, including those of the session's mode. */
const READS_SETTINGS = words('current_setting pg_show_all_settings')

const ONLY_WRITES: Effects = { ...noEffects(), writes: true }
const LEAVES: Effects = { ...ONLY_WRITES, leaves: RESET }

/** Returns the effects of a built-in function; undefined if it only reads or computes. */
export function effectsOfBuiltin(name: string, isVolatile: boolean): Effects | undefined {
  if (RUNS_ANYTHING.has(name)) return unknownEffects(ANYTHING)
  if (name === 'set_config') return { ...LEAVES, altersFormats: true }
  if (READS_SETTINGS.has(name)) return { ...noEffects(), handles: true }
  if (READS.has(name)) return undefined
  if (WRITES.has(name) || TAKES_TRANSACTION_ID.has(name)) return ONLY_WRITES
  return isVolatile ? LEAVES : undefined
}

/**
 * Returns the effects of a function without SQL or PL/pgSQL source. A function in C that is
 * declared IMMUTABLE or STABLE is trusted. Any other function is assumed to do the worst, unless it
 * is listed here.
 */
export function effectsOfForeign(
  name: string,
  language: string,
  isVolatile: boolean,
): Effects | undefined {
  if (language !== 'c' && language !== 'internal') return unknownEffects(CLOSE)
  if (RUNS_ANYTHING.has(name)) return unknownEffects(ANYTHING)
  if (NOT_AS_DECLARED.has(name)) return unknownEffects(CLOSE)
  if (!isVolatile || READS.has(name) || EXTENSION_READS.has(name)) return undefined
  if (WRITES.has(name) || EXTENSION_WRITES.has(name)) return ONLY_WRITES
  return EXTENSION_RESET.has(name) ? LEAVES : unknownEffects(CLOSE)
}
