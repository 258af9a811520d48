import type { AlterTableStmt, DropStmt, Node, RangeVar } from 'libpg-query'
import { nameOf, namesOf, routineText, sqlName, type TypeText, typeOf } from './names.ts'
import { type DeleteRisk, risksOfQuery } from './query-risks.ts'

/** Kinds of objects whose drop may remove rows, directly or by CASCADE. */
export type Droppable = 'relation' | 'type' | 'schema' | 'extension' | 'routine'

/**
 * What a statement may take away, as its syntax tree shows. Names of relations and types are in the
 * form of to_regclass and to_regtype; names of functions in that of `routineText`.
 */
export type Risk =
  | { kind: 'drop'; what: Droppable; names: string[]; cascade: boolean }
  | { kind: 'drop column'; relation: string; column: string; cascade: boolean }
  | { kind: 'drop attribute'; type: string; attribute: string }
  /** `roles`: names; `current`: also current_user and session_user. */
  | { kind: 'drop owned'; roles: string[]; current: boolean }
  | ({ kind: 'change type'; relation: string; column: string } & Conversion)
  | { kind: 'truncate'; relations: string[]; cascade: boolean }
  | DeleteRisk
  | { kind: 'detach'; relation: string; isConcurrent: boolean }
  | { kind: 'set unlogged'; relation: string }
  /** Loses no rows; reported with its position if the catalogs show the change. */
  | { kind: 'listed'; change: ListedChange; table: string; name: string | null }

export type ListedChange =
  | 'constraint_dropped'
  | 'policy_dropped'
  | 'row_security_disabled'
  | 'row_security_forced'

/** How ALTER COLUMN TYPE computes the new values. */
export interface Conversion {
  to: TypeText
  /** Casts in USING, innermost first. */
  via: TypeText[]
  /** Whether USING does more than cast the column. */
  isComputed: boolean
}

/** Returns what a statement may take away. Bodies of functions that it creates are not read. */
export function risksOf(node: Node): Risk[] {
  if ('DropStmt' in node) return risksOfDrop(node.DropStmt)
  if ('AlterTableStmt' in node) return risksOfAlter(node.AlterTableStmt)
  if ('DropOwnedStmt' in node) {
    const roles = (node.DropOwnedStmt.roles ?? []).flatMap((role) =>
      'RoleSpec' in role ? [role.RoleSpec] : [],
    )
    const names = roles.flatMap(({ rolename }) => rolename ?? [])
    return [{ kind: 'drop owned', roles: names, current: names.length < roles.length }]
  }
  if ('TruncateStmt' in node) {
    const { relations = [], behavior } = node.TruncateStmt
    const names = relations.flatMap((one) => ('RangeVar' in one ? [sqlName(one.RangeVar)] : []))
    return [{ kind: 'truncate', relations: names, cascade: behavior === 'DROP_CASCADE' }]
  }
  return risksOfQuery(node)
}

function risksOfDrop({ objects = [], removeType, behavior }: DropStmt): Risk[] {
  const cascade = behavior === 'DROP_CASCADE'
  const drop = (what: Droppable): Risk[] => [
    { kind: 'drop', what, names: objects.map(namesOf).map(quoted), cascade },
  ]
  switch (removeType) {
    case 'OBJECT_TABLE':
    case 'OBJECT_MATVIEW':
    case 'OBJECT_SEQUENCE':
      return drop('relation')
    case 'OBJECT_VIEW':
    case 'OBJECT_FOREIGN_TABLE':
      return cascade ? drop('relation') : []
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN':
      return cascade ? drop('type') : []
    case 'OBJECT_SCHEMA':
      return cascade
        ? [{ kind: 'drop', what: 'schema', names: objects.flatMap(namesOf), cascade }]
        : []
    case 'OBJECT_EXTENSION':
      return [{ kind: 'drop', what: 'extension', names: objects.flatMap(namesOf), cascade }]
    case 'OBJECT_FUNCTION':
    case 'OBJECT_PROCEDURE':
    case 'OBJECT_ROUTINE':
    case 'OBJECT_AGGREGATE':
      return cascade
        ? [{ kind: 'drop', what: 'routine', names: objects.map(routineText), cascade }]
        : []
    case 'OBJECT_POLICY':
      return objects.map((object) => {
        const [name = '', table = ''] = namesOf(object).reverse()
        return { kind: 'listed', change: 'policy_dropped', table, name }
      })
    default:
      return []
  }
}

function quoted(names: string[]): string {
  const [name = '', schema = null] = names.slice().reverse()
  return sqlName(nameOf(schema, name))
}

const ROW_SECURITY: Record<string, ListedChange> = {
  AT_DisableRowSecurity: 'row_security_disabled',
  AT_ForceRowSecurity: 'row_security_forced',
}

function risksOfAlter({ relation, cmds = [], objtype }: AlterTableStmt): Risk[] {
  if (!relation?.relname) return []
  const name = sqlName(relation)
  const table = relation.relname
  return cmds.flatMap((cmd): Risk[] => {
    if (!('AlterTableCmd' in cmd)) return []
    const { subtype = '', name: part = '', behavior, def } = cmd.AlterTableCmd
    if (objtype === 'OBJECT_TYPE') {
      const isDrop = subtype === 'AT_DropColumn'
      return isDrop ? [{ kind: 'drop attribute', type: name, attribute: part }] : []
    }
    const change = ROW_SECURITY[subtype]
    if (change) return [{ kind: 'listed', change, table, name: null }]
    switch (subtype) {
      case 'AT_DropColumn': {
        const cascade = behavior === 'DROP_CASCADE'
        return [{ kind: 'drop column', relation: name, column: part, cascade }]
      }
      case 'AT_AlterColumnType': {
        const conversion = conversionOf(part, def)
        return conversion
          ? [{ kind: 'change type', relation: name, column: part, ...conversion }]
          : []
      }
      case 'AT_DropConstraint':
        return [{ kind: 'listed', change: 'constraint_dropped', table, name: part }]
      case 'AT_DetachPartition':
      case 'AT_DropInherit':
        return detached(def)
      case 'AT_SetUnLogged':
        return [{ kind: 'set unlogged', relation: name }]
      default:
        return []
    }
  })
}

function detached(def: Node | undefined): Risk[] {
  if (!def) return []
  const isPartition = 'PartitionCmd' in def
  const isConcurrent = isPartition && def.PartitionCmd.concurrent === true
  const at: RangeVar | undefined = isPartition
    ? def.PartitionCmd.name
    : 'RangeVar' in def
      ? def.RangeVar
      : undefined
  return at?.relname ? [{ kind: 'detach', relation: sqlName(at), isConcurrent }] : []
}

function conversionOf(column: string, def: Node | undefined): Conversion | undefined {
  if (!def || !('ColumnDef' in def) || !def.ColumnDef.typeName) return undefined
  const to = typeOf(def.ColumnDef.typeName)
  const via: TypeText[] = []
  let expression = def.ColumnDef.raw_default
  while (expression && 'TypeCast' in expression && expression.TypeCast.typeName) {
    via.unshift(typeOf(expression.TypeCast.typeName))
    expression = expression.TypeCast.arg
  }
  return { to, via, isComputed: expression !== undefined && !isColumn(expression, column) }
}

function isColumn(expression: Node, column: string): boolean {
  if (!('ColumnRef' in expression)) return false
  const last = expression.ColumnRef.fields?.at(-1)
  return last !== undefined && 'String' in last && last.String.sval === column
}
