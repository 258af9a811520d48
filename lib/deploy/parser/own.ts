import type { Node, RangeVar } from 'libpg-query'
import { strings } from './names.ts'

const REFUSAL =
  'The statement creates an object of the gateway, which every database already has. Leave it out ' +
  "(pg_dump --exclude-schema=_db_gateway --exclude-table='_db_gateway_*')"

/** Returns why a statement is refused that creates an object of the gateway, as in a pg_dump. */
export function refusalOfOwn(node: Node): string | undefined {
  if ('CreateSchemaStmt' in node) {
    return node.CreateSchemaStmt.schemaname === '_db_gateway' ? REFUSAL : undefined
  }
  if ('CreateFunctionStmt' in node) {
    const names = strings(node.CreateFunctionStmt.funcname)
    return names.length > 1 && names[0] === '_db_gateway' ? REFUSAL : undefined
  }
  const relation =
    ('CreateStmt' in node && node.CreateStmt.relation) ||
    ('ViewStmt' in node && node.ViewStmt.view) ||
    ('CreateSeqStmt' in node && node.CreateSeqStmt.sequence)
  return relation && isOwn(relation) ? REFUSAL : undefined
}

function isOwn({ schemaname, relname = '', relpersistence }: RangeVar): boolean {
  if (relpersistence === 't') return false
  return schemaname === '_db_gateway' || /^_db_gateway_/.test(relname)
}
