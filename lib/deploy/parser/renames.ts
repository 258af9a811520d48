import type { Node, RangeVar } from 'libpg-query'
import type { MadeKind } from './makes.ts'
import { namesOf, sqlName, strings, typeOf } from './names.ts'

/** ALTER … RENAME TO, or SET SCHEMA, of an object that a deploy replaces. */
export interface Rename {
  kinds: MadeKind[]
  /** Null if the search_path decides. */
  schema: string | null
  name: string
  /** Types of a routine; null if the statement gives none, so that the name must be unique. */
  types: string[] | null
  /** Table of a trigger, policy or rule. */
  relation: string | null
  to: { name: string } | { schema: string }
}

const ROUTINES: MadeKind[] = ['function', 'procedure', 'aggregate']
const RELATIONS: MadeKind[] = ['view', 'materialized view', 'index']

const KINDS: Record<string, MadeKind[]> = {
  OBJECT_FUNCTION: ROUTINES,
  OBJECT_PROCEDURE: ROUTINES,
  OBJECT_AGGREGATE: ROUTINES,
  OBJECT_ROUTINE: ROUTINES,
  OBJECT_VIEW: RELATIONS,
  OBJECT_MATVIEW: RELATIONS,
  OBJECT_INDEX: RELATIONS,
  OBJECT_TABLE: RELATIONS,
  OBJECT_TYPE: ['type'],
  OBJECT_DOMAIN: ['type'],
  OBJECT_TRIGGER: ['trigger'],
  OBJECT_POLICY: ['policy'],
  OBJECT_RULE: ['rule'],
}

/** Returns the rename that a statement does; undefined if it is none. */
export function renameOf(node: Node): Rename | undefined {
  if ('RenameStmt' in node) {
    const { renameType = '', relation, object, subname, newname = '' } = node.RenameStmt
    return found(renameType, relation, object, subname, { name: newname })
  }
  if (!('AlterObjectSchemaStmt' in node)) return undefined
  const { objectType = '', relation, object, newschema = '' } = node.AlterObjectSchemaStmt
  return found(objectType, relation, object, undefined, { schema: newschema })
}

function found(
  type: string,
  relation: RangeVar | undefined,
  object: Node | undefined,
  subname: string | undefined,
  to: Rename['to'],
): Rename | undefined {
  const kinds = KINDS[type]
  if (!kinds) return undefined
  const nothing = { kinds, schema: null, types: null, relation: null, to }
  if (relation && subname) return { ...nothing, name: subname, relation: sqlName(relation) }
  if (relation) {
    return { ...nothing, schema: relation.schemaname ?? null, name: relation.relname ?? '' }
  }
  if (!object) return undefined
  if (!('ObjectWithArgs' in object)) {
    const [name = '', schema = null] = namesOf(object).reverse()
    return { ...nothing, schema, name }
  }
  const { objname, objargs = [], args_unspecified } = object.ObjectWithArgs
  const [name = '', schema = null] = strings(objname).reverse()
  const args = objargs.map((one) => ('TypeName' in one ? typeOf(one.TypeName).name : ''))
  return { ...nothing, schema, name, types: args_unspecified ? null : args }
}
