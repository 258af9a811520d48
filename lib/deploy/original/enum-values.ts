import type { SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { nameOf, sqlName, strings } from '../parser/names.ts'
import { readStatement } from '../parser/parser.ts'
import { readScripts } from '../run/run-file.ts'

/** An enum value that a file declares. */
interface DeclaredValue {
  /** Name of the enum as SQL writes it, quoted. */
  type: string
  /** Name of the enum for messages, unquoted and without the schema `public`. */
  name: string
  value: string
}

/** Returns the values declared in types/ that existing enums lack. */
export async function lackingValues(sql: Sql, files: SchemaFile[]): Promise<DeclaredValue[]> {
  const declared = await declaredValues(files)
  if (declared.length === 0) return []
  return sql<DeclaredValue[]>`
    select type, name, value
    from json_array_elements(${JSON.stringify(declared)}::text::json) with ordinality as d (one, at),
      json_to_record(one) as r (type text, name text, value text)
    join pg_type t on t.oid = to_regtype(type) and t.typtype = 'e'
    where not exists (
      select from pg_enum e where e.enumtypid = t.oid and e.enumlabel = value
    )
    order by at
  `
}

async function declaredValues(files: SchemaFile[]): Promise<DeclaredValue[]> {
  const scripts = await readScripts(files)
  const texts = scripts.flatMap(({ statements }) =>
    statements.flatMap(({ facts, text }) => (facts.kind === 'CreateEnumStmt' ? [text] : [])),
  )
  const read = await Promise.all(texts.map((text) => readStatement(text)))
  return read.flatMap(({ node }) => {
    if (!node || !('CreateEnumStmt' in node)) return []
    const [name = '', schema = null] = strings(node.CreateEnumStmt.typeName).reverse()
    const type = sqlName(nameOf(schema, name))
    const shown = schema && schema !== 'public' ? `${schema}.${name}` : name
    return strings(node.CreateEnumStmt.vals).map((value) => ({ type, name: shown, value }))
  })
}
