import { quoteIdentifier } from '../../postgres/quote.ts'

import { type Column, isTable, type Rule, type Table } from './tables.ts'
import { isWidening } from './widening.ts'

/**
 * Effect of a change: `safe` for existing data and code; `data_loss` if values are lost;
 * `incompatible` if the data stays but existing code may fail; `weaker` if a rule for the data is
 * gone (a constraint, a policy, row level security).
 */
export type ChangeClass = 'safe' | 'data_loss' | 'incompatible' | 'weaker'

export interface TableChange {
  oid: string
  /** pg_attribute.attnum; null if the change concerns the whole table. */
  number: number | null
  table: string
  column: string | null
  change:
    | 'table_created'
    | 'table_dropped'
    | 'table_renamed'
    | 'column_added'
    | 'column_dropped'
    | 'column_renamed'
    | 'type_changed'
    | 'not_null_set'
    | 'not_null_dropped'
    | 'default_changed'
    | 'table_truncated'
    | 'rows_deleted'
    | 'table_unlogged'
    | 'partition_detached'
    | 'sequence_dropped'
    | 'materialized_view_dropped'
    | 'attribute_dropped'
    | 'constraint_dropped'
    | 'policy_dropped'
    | 'row_security_disabled'
    | 'row_security_forced'
  class: ChangeClass
  /** Old name, type or default; null if the change has none. */
  from: string | null
  to: string | null
}

/** Returns the changes between two reads of the tables. */
export function compareTables(before: Table[], after: Table[]): TableChange[] {
  const old = new Map(before.map((table) => [table.oid, table]))
  const current = new Map(after.map((table) => [table.oid, table]))
  return [
    ...before.flatMap((table) => (current.has(table.oid) ? [] : dropped(table, current))),
    ...after.flatMap((table) => {
      const was = old.get(table.oid)
      if (was) return compareTable(was, table)
      return isTable(table) ? [change(table, null, 'table_created', 'safe')] : []
    }),
  ]
}

/**
 * Returns the change for a relation that is gone. A dropped composite type is no loss of its own:
 * columns that stored its values have been dropped and are reported. Nor is a materialized view,
 * which its file creates again.
 */
function dropped(table: Table, current: Map<string, Table>): TableChange[] {
  if (isTable(table)) return [change(table, null, 'table_dropped', 'data_loss')]
  if (table.kind !== 'S') return []
  const [owner = '', number = ''] = table.owner?.split('/') ?? []
  const isColumnThere = current.get(owner)?.columns.some((one) => one.number === Number(number))
  // Otherwise the sequence went with its column.
  const isLost = table.owner === null || isColumnThere
  return isLost ? [change(table, null, 'sequence_dropped', 'data_loss')] : []
}

function compareTable(before: Table, after: Table): TableChange[] {
  if (after.kind === 'c') return compareAttributes(before, after)
  if (!isTable(after)) return []
  const changes: TableChange[] = []
  if (tableName(before) !== tableName(after)) {
    changes.push(
      change(after, null, 'table_renamed', 'incompatible', tableName(before), tableName(after)),
    )
  }
  const old = new Map(before.columns.map((column) => [column.number, column]))
  for (const column of missingColumns(before, after)) {
    changes.push(change(before, column, 'column_dropped', 'data_loss', column.type))
  }
  for (const column of after.columns) {
    const was = old.get(column.number)
    changes.push(...(was ? compareColumn(after, was, column) : [added(after, column)]))
  }
  return [...changes, ...compareRules(before, after)]
}

/** Attributes of a composite type have attribute numbers, as columns of a table have. */
function compareAttributes(before: Table, after: Table): TableChange[] {
  return missingColumns(before, after).map((attribute) =>
    change(before, attribute, 'attribute_dropped', 'data_loss', attribute.type),
  )
}

function missingColumns(before: Table, after: Table): Column[] {
  const current = new Set(after.columns.map(({ number }) => number))
  return before.columns.filter(({ number }) => !current.has(number))
}

/** Compares the properties of the table as a whole. */
function compareRules(before: Table, after: Table): TableChange[] {
  const changes: TableChange[] = []
  const add = (kind: TableChange['change'], of: ChangeClass, from: string | null = null) =>
    changes.push(change(after, null, kind, of, from))
  if (before.parents.some((parent) => !after.parents.includes(parent))) {
    add('partition_detached', 'data_loss')
  }
  if (after.isUnlogged && !before.isUnlogged) add('table_unlogged', 'data_loss')
  if (before.rowSecurity && !after.rowSecurity) add('row_security_disabled', 'weaker')
  if (after.forcedRowSecurity && !before.forcedRowSecurity) {
    add('row_security_forced', 'incompatible')
  }
  const gone = new Set(missingColumns(before, after).map(({ number }) => number))
  for (const constraint of before.constraints) {
    if (isThere(constraint, after.constraints)) continue
    const wentWithColumn = constraint.columns.some((number) => gone.has(number))
    if (!wentWithColumn) add('constraint_dropped', 'weaker', constraint.name)
  }
  for (const policy of before.policies) {
    if (!isThere(policy, after.policies)) add('policy_dropped', 'weaker', policy.name)
  }
  return changes
}

/**
 * Returns whether the rule still exists: renamed (same oid), or re-created under its name, as ALTER
 * COLUMN TYPE does.
 */
function isThere(rule: Rule, rules: Rule[]): boolean {
  return rules.some(({ oid, name }) => oid === rule.oid || name === rule.name)
}

function added(table: Table, column: Column): TableChange {
  // INSERT statements of existing code give no value for the new column.
  const isRequired = column.notNull && column.default === null
  return change(
    table,
    column,
    'column_added',
    isRequired ? 'incompatible' : 'safe',
    null,
    column.type,
  )
}

function compareColumn(table: Table, before: Column, after: Column): TableChange[] {
  const changes: TableChange[] = []
  if (before.name !== after.name) {
    changes.push(change(table, after, 'column_renamed', 'incompatible', before.name, after.name))
  }
  if (before.type !== after.type) {
    const kind = isWidening(before.type, after.type) ? 'safe' : 'data_loss'
    changes.push(change(table, after, 'type_changed', kind, before.type, after.type))
  }
  if (before.notNull !== after.notNull) {
    changes.push(
      after.notNull
        ? change(table, after, 'not_null_set', 'incompatible')
        : change(table, after, 'not_null_dropped', 'safe'),
    )
  }
  if (before.default !== after.default) {
    const kind = after.default === null && after.notNull ? 'incompatible' : 'safe'
    changes.push(change(table, after, 'default_changed', kind, before.default, after.default))
  }
  return changes
}

function change(
  table: Table,
  column: Column | null,
  kind: TableChange['change'],
  changeClass: ChangeClass,
  from: string | null = null,
  to: string | null = null,
): TableChange {
  return {
    oid: table.oid,
    number: column?.number ?? null,
    table: tableName(table),
    column: column?.name ?? null,
    change: kind,
    class: changeClass,
    from,
    to,
  }
}

/** Returns a table's name as SQL writes it: quoted if necessary, without the schema `public`. */
export function tableName({ schema, name }: { schema: string; name: string }): string {
  const plain = /^[a-z_][a-z0-9_$]*$/
  const quote = (part: string) => (plain.test(part) ? part : quoteIdentifier(part))
  return schema === 'public' ? quote(name) : `${quote(schema)}.${quote(name)}`
}
