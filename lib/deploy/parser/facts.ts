import type { Node } from 'libpg-query'
import { type ColumnHelper, columnHelperIn } from './column-helper.ts'
import { namesOf, sqlName, strings } from './names.ts'
import { deletesSome } from './query-risks.ts'
import { type Rename, renameOf } from './renames.ts'

/** A value that ALTER TYPE adds to an enum or renames. */
export interface EnumChange {
  /** Type as SQL names it, quoted. */
  type: string
  /** Name of the type without schema. */
  name: string
  label: string
  /** Previous name of the value; null if the value is new. */
  renamed: string | null
}

/** Facts about a statement that a deploy needs, besides the risk of losing data. */
export interface Facts {
  /** Kind of the syntax tree's node, such as SelectStmt; empty if the text could not be parsed. */
  kind: string
  /** Names (without schema) of the tables and types that it creates or gives a new name. */
  makes: string[]
  /** Name (without schema) of the table or type that it alters; '' if there is none. */
  alters: string
  /** Names (without schema) of the types that it renames or drops. */
  unmakes: string[]
  enumChange: EnumChange | undefined
  rename: Rename | undefined
  /** Whether it runs CONCURRENTLY. */
  isConcurrent: boolean
  /** The index that it creates concurrently, as SQL names it. */
  index: string | undefined
  /** Whether it is CREATE OR REPLACE of a function or procedure. */
  isReplacing: boolean
  setsOwner: boolean
  /** Names (without schema) of tables and views from which it deletes rows with WHERE. */
  deletes: string[]
  /** The helper of the original gateway that it calls. */
  helper: ColumnHelper | undefined
}

/** Facts about a text that could not be parsed. */
export const NO_FACTS: Facts = {
  kind: '',
  makes: [],
  alters: '',
  unmakes: [],
  enumChange: undefined,
  rename: undefined,
  isConcurrent: false,
  index: undefined,
  isReplacing: false,
  setsOwner: false,
  deletes: [],
  helper: undefined,
}

/** Returns the facts about one statement. */
export function factsOf(node: Node): Facts {
  return {
    ...NO_FACTS,
    kind: Object.keys(node)[0] ?? '',
    makes: makesOf(node),
    alters: altersOf(node),
    unmakes: unmakesOf(node),
    enumChange: enumChangeOf(node),
    rename: renameOf(node),
    ...concurrencyOf(node),
    isReplacing: 'CreateFunctionStmt' in node && node.CreateFunctionStmt.replace === true,
    setsOwner: setsOwner(node),
    deletes: deletesSome(node),
    helper: columnHelperIn(node),
  }
}

function makesOf(node: Node): string[] {
  const of = (name: string | undefined) => (name ? [name] : [])
  if ('CreateStmt' in node) return of(node.CreateStmt.relation?.relname)
  if ('CreateForeignTableStmt' in node) {
    return of(node.CreateForeignTableStmt.base?.relation?.relname)
  }
  if ('CreateTableAsStmt' in node) return of(node.CreateTableAsStmt.into?.rel?.relname)
  if ('SelectStmt' in node) return of(node.SelectStmt.intoClause?.rel?.relname)
  if ('ViewStmt' in node) return of(node.ViewStmt.view?.relname)
  if ('CreateEnumStmt' in node) return of(strings(node.CreateEnumStmt.typeName).at(-1))
  if ('CreateDomainStmt' in node) return of(strings(node.CreateDomainStmt.domainname).at(-1))
  if ('CreateRangeStmt' in node) return of(strings(node.CreateRangeStmt.typeName).at(-1))
  if ('CompositeTypeStmt' in node) return of(node.CompositeTypeStmt.typevar?.relname)
  if ('RenameStmt' in node && RENAMED.has(node.RenameStmt.renameType)) {
    return of(node.RenameStmt.newname)
  }
  return []
}

function altersOf(node: Node): string {
  if ('AlterTableStmt' in node) return node.AlterTableStmt.relation?.relname ?? ''
  if ('IndexStmt' in node) return node.IndexStmt.relation?.relname ?? ''
  if ('CreateTrigStmt' in node) return node.CreateTrigStmt.relation?.relname ?? ''
  if ('CreatePolicyStmt' in node) return node.CreatePolicyStmt.table?.relname ?? ''
  if ('AlterEnumStmt' in node) return strings(node.AlterEnumStmt.typeName).at(-1) ?? ''
  if (!('RenameStmt' in node)) return ''
  const { relation, object } = node.RenameStmt
  return relation?.relname ?? (object ? (namesOf(object).at(-1) ?? '') : '')
}

const RENAMED = new Set<string | undefined>(['OBJECT_TABLE', 'OBJECT_TYPE', 'OBJECT_DOMAIN'])
const TYPES = new Set<string | undefined>(['OBJECT_TYPE', 'OBJECT_DOMAIN'])

function unmakesOf(node: Node): string[] {
  if ('RenameStmt' in node && TYPES.has(node.RenameStmt.renameType)) {
    const { object } = node.RenameStmt
    return object ? namesOf(object).slice(-1) : []
  }
  if (!('DropStmt' in node) || !TYPES.has(node.DropStmt.removeType)) return []
  return (node.DropStmt.objects ?? []).flatMap((object) => namesOf(object).slice(-1))
}

function enumChangeOf(node: Node): EnumChange | undefined {
  if (!('AlterEnumStmt' in node)) return undefined
  const { typeName, newVal, oldVal } = node.AlterEnumStmt
  const [relname = '', schemaname] = strings(typeName).reverse()
  const type = sqlName(schemaname === undefined ? { relname } : { schemaname, relname })
  return { type, name: relname, label: newVal ?? '', renamed: oldVal || null }
}

function concurrencyOf(node: Node): Pick<Facts, 'isConcurrent' | 'index'> {
  if ('IndexStmt' in node) {
    const { concurrent, idxname, relation } = node.IndexStmt
    const at = relation?.schemaname ? { schemaname: relation.schemaname } : {}
    const index = concurrent && idxname ? sqlName({ ...at, relname: idxname }) : undefined
    return { isConcurrent: concurrent === true, index }
  }
  const isConcurrent =
    ('DropStmt' in node && node.DropStmt.concurrent === true) ||
    ('RefreshMatViewStmt' in node && node.RefreshMatViewStmt.concurrent === true) ||
    ('ReindexStmt' in node && JSON.stringify(node).includes('"concurrently"')) ||
    ('AlterTableStmt' in node && JSON.stringify(node).includes('"concurrent":true'))
  return { isConcurrent, index: undefined }
}

function setsOwner(node: Node): boolean {
  if ('AlterOwnerStmt' in node) return true
  if (!('AlterTableStmt' in node)) return false
  const { cmds = [] } = node.AlterTableStmt
  return cmds.some(
    (cmd) => 'AlterTableCmd' in cmd && cmd.AlterTableCmd.subtype === 'AT_ChangeOwner',
  )
}
