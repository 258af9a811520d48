import { addMissingColumn } from '../../postgres/create-tables.ts'

const TABLE = '_db_gateway_databases'

/**
 * SQL that adds to the table of databases what the catalog knows of tenants:
 * - `labels`: a text by each key.
 * - `suspended_at`: null: its calls run. `suspended_message`, `retry_after_s`: what they are answered.
 * - `drop_at`: when it is to be dropped, `drop_dump`: whether it is dumped before.
 */
export const TENANT_COLUMNS = [
  addMissingColumn(TABLE, 'labels', `jsonb not null default '{}'`),
  addMissingColumn(TABLE, 'suspended_at', 'timestamptz'),
  addMissingColumn(TABLE, 'suspended_message', 'text'),
  addMissingColumn(TABLE, 'retry_after_s', 'integer'),
  addMissingColumn(TABLE, 'drop_at', 'timestamptz'),
  addMissingColumn(TABLE, 'drop_dump', 'boolean'),
  `create index if not exists _db_gateway_databases_drop_at on ${TABLE} (drop_at)
    where drop_at is not null`,
].join(';')
