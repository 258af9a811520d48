import { send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import { CATALOGS } from './dependants.ts'
import { keepSql } from './keep-sql.ts'
import { classOf, dropStatement, type FoundObject, type ObjectClass } from './object.ts'

interface Grant {
  /** Null for PUBLIC. */
  grantee: string | null
  privilege: string
  grantable: boolean
  column: string | null
}

interface Note {
  column: string | null
  text: string
}

/** Properties of an object that were set by hand and are not part of its definition. */
export interface Kept {
  catalog: string
  oid: string
  /** Null if the deploy's role owns the object. */
  owner: string | null
  hasGrants: boolean
  grants: Grant[]
  columnGrants: Grant[]
  comments: Note[]
  labels: (Note & { provider: string })[]
  /** For a trigger or rule: pg_trigger.tgenabled, pg_rewrite.ev_enabled. */
  enabled: string | null
  /** Roles to which ALTER DEFAULT PRIVILEGES grants privileges on new objects. */
  defaultGrantees: string[]
  /** Whether ALTER DEFAULT PRIVILEGES says anything about new objects of the deploy's role. */
  hasDefaults: boolean
}

/** Reads what must be restored when the objects are created again, by class and oid. */
export async function readKept(sql: Sql, objects: FoundObject[]): Promise<Map<string, Kept>> {
  const asked = objects.map(({ kind, oid }) => ({ catalog: CATALOGS[classOf(kind)], oid }))
  const rows = await send(sql.unsafe<Kept[]>(keepSql(quoteLiteral(JSON.stringify(asked)))))
  const classes = Object.entries(CATALOGS) as [ObjectClass, string][]
  const classByCatalog = new Map(classes.map(([name, catalog]) => [catalog, name]))
  return new Map(rows.map((row) => [`${classByCatalog.get(row.catalog)} ${row.oid}`, row]))
}

/** Returns the statements that restore it on an object that has just been created again. */
export function keepStatements(
  object: Pick<FoundObject, 'kind' | 'identity'>,
  kept: Kept,
): string[] {
  const { kind, identity } = object
  const statements: string[] = []
  const target = grantTarget(kind)
  if (target !== null) {
    const on = `on ${target} ${identity}`
    if (kept.hasGrants || kept.hasDefaults) {
      const others = kept.defaultGrantees.map(quoteIdentifier)
      statements.push(`revoke all ${on} from ${['public', 'current_user', ...others].join(', ')}`)
      if (kept.hasGrants) statements.push(...kept.grants.map((grant) => grantStatement(grant, on)))
      else statements.push(...standardGrants(target, on))
    }
    statements.push(...kept.columnGrants.map((grant) => ifThere(grantStatement(grant, on))))
  }
  // Kind and name of the object, as in `drop function …`.
  const named = dropStatement(object).replace('drop ', '').replace('if exists ', '')
  const place = (column: string | null) =>
    column === null ? named : `column ${identity}.${quoteIdentifier(column)}`
  for (const { column, text } of kept.comments) {
    const statement = `comment on ${place(column)} is ${quoteLiteral(text)}`
    statements.push(column === null ? statement : ifThere(statement))
  }
  for (const { column, provider, text } of kept.labels) {
    const by = quoteIdentifier(provider)
    const statement = `security label for ${by} on ${place(column)} is ${quoteLiteral(text)}`
    statements.push(column === null ? statement : ifThere(statement))
  }
  if ((kind === 'trigger' || kind === 'rule') && kept.enabled !== null && ENABLED[kept.enabled]) {
    const [name, table] = splitOn(identity)
    statements.push(`alter table ${table} ${ENABLED[kept.enabled]} ${kind} ${name}`)
  }
  // Last, because the deploy's role may lack rights on the object once another role owns it.
  if (kept.owner !== null) statements.push(`alter ${named} owner to ${quoteIdentifier(kept.owner)}`)
  return statements
}

/** Skips the statement if the column no longer exists. */
function ifThere(statement: string): string {
  return `do ${quoteLiteral(`begin ${statement}; exception when undefined_column then null; end`)}`
}

const ENABLED: Record<string, string> = {
  D: 'disable',
  A: 'enable always',
  R: 'enable replica',
}

function splitOn(identity: string): [string, string] {
  const at = /^("(?:[^"]|"")*"|[^ ]+) on (.*)$/s.exec(identity)
  return [at?.[1] ?? identity, at?.[2] ?? '']
}

function grantTarget(kind: FoundObject['kind']): string | null {
  switch (kind) {
    case 'function':
    case 'aggregate':
      return 'function'
    case 'procedure':
      return 'procedure'
    case 'view':
    case 'materialized view':
      return 'table'
    case 'type':
      return 'type'
    default:
      return null
  }
}

/**
 * Returns the grants of an object whose privileges nobody has changed (PostgreSQL manual, "Privileges"): one that is
 * made anew has what ALTER DEFAULT PRIVILEGES says instead.
 */
function standardGrants(target: string, on: string): string[] {
  const ofOwner = `grant all ${on} to current_user`
  return target === 'table' ? [ofOwner] : [ofOwner, `grant all ${on} to public`]
}

function grantStatement({ grantee, privilege, grantable, column }: Grant, on: string): string {
  const to = grantee === null ? 'public' : quoteIdentifier(grantee)
  const what = column === null ? privilege : `${privilege} (${quoteIdentifier(column)})`
  return `grant ${what} ${on} to ${to}${grantable ? ' with grant option' : ''}`
}
