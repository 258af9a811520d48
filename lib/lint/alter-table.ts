import type { AlterTableCmd, ColumnDef, Constraint, Node } from 'libpg-query'
import { strings } from '../deploy/parser/names.ts'
import type { Said } from './finding.ts'

const REWRITES = 'blocks reads and writes until the table is written anew'
/** Where a statement goes that cannot run in the transaction of a deploy, or must not stay in it. */
export const ALONE = 'in a file that begins with "-- gateway: no-transaction"'

/** Returns the locks that one part of ALTER TABLE holds for as long as the table is large. */
export function lockOfPart(table: string, part: AlterTableCmd): Said[] {
  const { subtype, name = '', def } = part
  const lock = (message: string, advice: string) => [longLock(table, message, advice)]
  switch (subtype) {
    case 'AT_AddColumn':
      return def && 'ColumnDef' in def ? lockOfColumn(table, def.ColumnDef) : []
    case 'AT_AlterColumnType':
      return lock(
        `a new type of ${name} ${REWRITES}, unless every value stays as it is stored (varchar to text, a longer varchar)`,
        'Add a column of the new type, fill it in parts, let the functions use it, and drop the old one in a later release',
      )
    case 'AT_SetNotNull':
      return lock(
        `SET NOT NULL of ${name} blocks reads and writes until every row is read`,
        `Write "add constraint … check (${name} is not null) not valid", in the next migration file "validate constraint …" ${ALONE}, then "set not null", which needs no look at the rows then`,
      )
    case 'AT_AddConstraint':
      return def && 'Constraint' in def ? lockOfConstraint(table, def.Constraint) : []
    case 'AT_AttachPartition':
      return lock(
        'ATTACH PARTITION blocks the partition until every row of it is read',
        'Give the partition a valid CHECK constraint that says the same as its bounds before',
      )
    case 'AT_SetLogged':
    case 'AT_SetUnLogged':
    case 'AT_SetTableSpace':
    case 'AT_SetAccessMethod':
      return lock(`it ${REWRITES}`, 'Do it outside of a deploy, while nobody uses the table')
    default:
      return []
  }
}

function lockOfColumn(table: string, { colname = '', typeName, constraints }: ColumnDef): Said[] {
  const parts = (constraints ?? []).flatMap((one) => ('Constraint' in one ? [one.Constraint] : []))
  const has = (kind: Constraint['contype']) => parts.find(({ contype }) => contype === kind)
  const stored = has('CONSTR_GENERATED')
  const isStored = stored !== undefined && stored.generated_kind !== 'v'
  const fallback = has('CONSTR_DEFAULT')?.raw_expr
  const isCounted = has('CONSTR_IDENTITY') !== undefined || /serial/.test(lastOf(typeName?.names))
  const locks: Said[] = []
  if (isCounted || isStored || isVolatile(fallback)) {
    const why = isCounted ? 'a number' : isStored ? 'a stored value' : 'a value of its own'
    locks.push(
      longLock(
        table,
        `the new column ${colname} gives each row ${why}, which ${REWRITES}`,
        `Add ${colname} without it, set the default in a second statement, which holds for new rows, and fill the others in parts`,
      ),
    )
  }
  if (has('CONSTR_NOTNULL') && !fallback && !isCounted && !stored) {
    locks.push({
      rule: 'not-null',
      message: `${table}: the new column ${colname} is NOT NULL and has no default, which fails where the table has rows`,
      advice: `Give ${colname} a constant default, or fill it before "set not null"`,
    })
  }
  // A new column without values refers to nothing.
  const checked = fallback ? parts : parts.filter(({ contype }) => contype !== 'CONSTR_FOREIGN')
  return [...locks, ...checked.flatMap((one) => lockOfConstraint(table, one))]
}

function lockOfConstraint(table: string, constraint: Constraint): Said[] {
  const { contype, skip_validation, indexname, conname = '…' } = constraint
  const lock = (message: string, advice: string) => [longLock(table, message, advice)]
  switch (contype) {
    case 'CONSTR_FOREIGN':
    case 'CONSTR_CHECK':
      if (skip_validation) return []
      return lock(
        contype === 'CONSTR_FOREIGN'
          ? 'the foreign key blocks writes to both tables until every row is read'
          : 'the check blocks reads and writes until every row is read',
        `Write "add constraint … not valid", and "validate constraint ${conname}" in the next migration, ${ALONE}`,
      )
    case 'CONSTR_PRIMARY':
    case 'CONSTR_UNIQUE':
      if (indexname) return []
      return lock(
        'the constraint blocks reads and writes until its index is built',
        `Write "create unique index concurrently …" ${ALONE}, then "add constraint … ${contype === 'CONSTR_PRIMARY' ? 'primary key' : 'unique'} using index …"`,
      )
    case 'CONSTR_EXCLUSION':
      return lock(
        'the exclusion constraint blocks reads and writes until its index is built',
        'There is no way without: add it while the table is small',
      )
    default:
      return []
  }
}

function longLock(table: string, message: string, advice: string): Said {
  return { rule: 'long-lock', message: `${table}: ${message}`, advice }
}

/** Functions in a default that are evaluated once for all rows that exist. */
const STABLE = new Set(['now', 'current_setting', 'to_char', 'lower', 'upper', 'md5', 'coalesce'])

/** Returns whether a default may differ from row to row: it calls a function that is not known. */
function isVolatile(value: Node | undefined): boolean {
  if (value === undefined) return false
  const calls: string[] = []
  JSON.stringify(value, (key, inner) => {
    if (key === 'funcname') calls.push(lastOf(inner))
    return inner
  })
  return calls.some((name) => !STABLE.has(name))
}

function lastOf(names: Node[] | undefined): string {
  return strings(names).at(-1) ?? ''
}
