import { addMissingColumn } from '../../postgres/create-tables.ts'

const TABLE = '_db_gateway_databases'

/**
 * SQL that adds the columns for tenants to the table of databases:
 * - `labels`: object of strings by key.
 * - `suspended_at`: start of the suspension; null if calls run.
 * - `suspended_message`, `retry_after_s`: message and Retry-After (seconds) of the error that calls
 *   get; null for the defaults.
 * - `drop_at`: time of the scheduled drop; null if none is scheduled. `drop_dump`: whether the
 *   database is dumped first.
 * - `limits`: `StoredLimits`; null if the database never had a limit.
 * - `held_until`: time at which the hold of calls lapses; null if they are not held. `held_for`:
 *   `rename`, `clone` or `move`. `held_retry_s`: Retry-After of the error that calls get; null: calls wait.
 * - `renamed_from`, `renamed_at`: the database's name before its last rename, and its time.
 * - `hidden_as`: name that the database has while it is moved to another server, whose gateway may have
 *   been killed: nothing else is made of its name; null if it has its own name.
 */
export const TENANT_COLUMNS = [
  addMissingColumn(TABLE, 'labels', `jsonb not null default '{}'`),
  addMissingColumn(TABLE, 'suspended_at', 'timestamptz'),
  addMissingColumn(TABLE, 'suspended_message', 'text'),
  addMissingColumn(TABLE, 'retry_after_s', 'integer'),
  addMissingColumn(TABLE, 'drop_at', 'timestamptz'),
  addMissingColumn(TABLE, 'drop_dump', 'boolean'),
  addMissingColumn(TABLE, 'limits', 'jsonb'),
  addMissingColumn(TABLE, 'held_until', 'timestamptz'),
  addMissingColumn(TABLE, 'held_for', 'text'),
  addMissingColumn(TABLE, 'held_retry_s', 'integer'),
  addMissingColumn(TABLE, 'hidden_as', 'text'),
  addMissingColumn(TABLE, 'renamed_from', 'text'),
  addMissingColumn(TABLE, 'renamed_at', 'timestamptz'),
  `create index if not exists _db_gateway_databases_drop_at on ${TABLE} (drop_at)
    where drop_at is not null`,
  `create index if not exists _db_gateway_databases_renamed_from on ${TABLE} (renamed_from)
    where renamed_from is not null`,
].join(';')
