import type { TableChange } from '../changes/changes.ts'

/** A change of a table in the format of /v2/*. */
export interface V2Change {
  table: string
  change_type: string
  column: string | null
  from_type: string | null
  to_type: string | null
  compatibility: 'safe' | 'dataloss' | 'incompatible'
  reason: string | null
}

/** A deploy's changes of tables, by class. */
export interface V2Changes {
  safe_changes: V2Change[]
  dataloss_changes: V2Change[]
  incompatible_changes: V2Change[]
}

/** Names of changes in the original gateway; it has none for the other changes. */
const TYPES: Partial<Record<TableChange['change'], string>> = {
  table_created: 'CreateTable',
  table_dropped: 'DropTable',
  column_added: 'AddColumn',
  column_dropped: 'DropColumn',
  type_changed: 'ModifyColumnType',
  not_null_set: 'SetNotNull',
}

const REASONS = {
  safe: null,
  dataloss: 'Data is lost',
  incompatible: 'Existing code may fail',
}

/**
 * Groups changes by class. Changes of class `weaker` are left out: the deploy's warnings list them.
 */
export function toV2Changes(changes: TableChange[]): V2Changes {
  const all = changes.flatMap(toV2Change)
  const of = (kind: V2Change['compatibility']) =>
    all.filter(({ compatibility }) => compatibility === kind)
  return {
    safe_changes: of('safe'),
    dataloss_changes: of('dataloss'),
    incompatible_changes: of('incompatible'),
  }
}

function toV2Change(one: TableChange): V2Change[] {
  if (one.class === 'weaker') return []
  const compatibility = one.class === 'data_loss' ? 'dataloss' : one.class
  const isRequired = one.change === 'column_added' && compatibility === 'incompatible'
  return [
    {
      table: one.table,
      change_type: isRequired ? 'AddNotNullColumn' : (TYPES[one.change] ?? pascal(one.change)),
      column: one.column,
      from_type: one.from,
      to_type: one.to,
      compatibility,
      reason: REASONS[compatibility],
    },
  ]
}

function pascal(words: string): string {
  return words
    .split('_')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')
}

/** Merges the changes of several databases; equal changes appear once. */
export function mergeV2Changes(all: V2Changes[]): V2Changes {
  const each = (part: keyof V2Changes) => [
    ...new Map(all.flatMap((one) => one[part]).map((one) => [JSON.stringify(one), one])).values(),
  ]
  return {
    safe_changes: each('safe_changes'),
    dataloss_changes: each('dataloss_changes'),
    incompatible_changes: each('incompatible_changes'),
  }
}
