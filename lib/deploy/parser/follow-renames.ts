import type { Rename } from './renames.ts'
import type { Statement } from './statement.ts'

/**
 * Attributes an object that a file creates and then renames or moves to another schema to the
 * statement that renames it last, under its final name.
 */
export function followRenames(statements: Statement[]): Statement[] {
  if (!statements.some(({ facts }) => facts.rename)) return statements
  const all = statements.map((statement) => ({ ...statement }))
  for (const [i, statement] of all.entries()) {
    const { rename } = statement.facts
    const maker = rename && all.slice(0, i).findLast((one) => isOf(rename, one))
    if (!maker?.made) continue
    // Renaming onto an existing name fails even with OR REPLACE, so the final name never replaces.
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
