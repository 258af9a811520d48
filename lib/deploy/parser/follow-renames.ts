import type { Rename } from './renames.ts'
import type { Statement } from './statement.ts'

/**
 * Has a file make what it gives another name or schema under the last one of these: a statement that
 * renames something which a statement before it makes is what makes it.
 */
export function followRenames(statements: Statement[]): Statement[] {
  if (!statements.some(({ facts }) => facts.rename)) return statements
  const all = statements.map((statement) => ({ ...statement }))
  for (const [i, statement] of all.entries()) {
    const { rename } = statement.facts
    const maker = rename && all.slice(0, i).findLast((one) => isOf(rename, one))
    if (!maker?.made) continue
    // Its own name is taken, or not, whatever a file says: another one comes in its place.
    statement.made = { ...maker.made, ...rename!.to, replaces: false, language: null }
    maker.made = undefined
  }
  return all
}

function isOf({ kinds, schema, name, types, relation }: Rename, { made }: Statement): boolean {
  if (!made || !kinds.includes(made.kind) || made.name !== name) return false
  const isSchema = schema === null || made.schema === null || schema === made.schema
  const isTable = relation === null || relation === made.relation
  return (
    isSchema && isTable && (types === null || JSON.stringify(types) === JSON.stringify(made.types))
  )
}
