import type { TableChange } from '../changes/changes.ts'

/** A change of a table as /v2/* tells of it. */
export interface V2Change {
  table: string
  change_type: string
  column: string | null
  from_type: string | null
  to_type: string | null
  compatibility: 'safe' | 'dataloss' | 'incompatible'
  reason: string | null
}

/** What a deploy changed in the tables, in three parts. */
export interface V2Changes {
  safe_changes: V2Change[]
  dataloss_changes: V2Change[]
  incompatible_changes: V2Change[]
}

/** The original gateway's words, where it has one. */
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
  incompatible: 'Code of before may fail',
}

/** Divides changes by what they mean. Rules for the data that are gone are in the deploy's warnings. */
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

/** The changes of several databases, each once. */
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
