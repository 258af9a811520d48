import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import { dependantsSql } from './dependants-sql.ts'
import { classOf, type FoundObject, type ObjectClass } from './object.ts'

/** The system catalog of each class of objects. */
export const CATALOGS: Record<ObjectClass, string> = {
  routine: 'pg_proc',
  relation: 'pg_class',
  type: 'pg_type',
  trigger: 'pg_trigger',
  policy: 'pg_policy',
  rule: 'pg_rewrite',
  cast: 'pg_cast',
  operator: 'pg_operator',
}

/** An object that DROP … CASCADE removes together with others. */
export interface Dependant {
  what: ObjectClass | 'index' | 'default' | 'constraint' | 'other'
  oid: string
  /** Text of pg_describe_object: `view sizes`. */
  description: string
  /** For a part of a table: the statements that drop it and create it again. */
  drop: string | null
  restore: string | null
}

/** Returns the objects themselves and all objects that depend on them. */
export async function findDependants(sql: Sql, roots: FoundObject[]): Promise<Dependant[]> {
  const list = roots.map(({ kind, oid }) => ({ catalog: CATALOGS[classOf(kind)], oid }))
  const text = dependantsSql(quoteLiteral(JSON.stringify(list)))
  return [...(await send(sql.unsafe<Dependant[]>(text)))]
}

/** Returns the object's key in `FoundObjects.byOid`. */
export function oidKeyOf({ what, oid }: Dependant): string {
  return `${what === 'index' ? 'relation' : what} ${oid}`
}
