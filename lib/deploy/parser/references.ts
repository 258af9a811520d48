import type { Node } from 'libpg-query'
import type { Made } from './makes.ts'
import { strings } from './names.ts'

/**
 * A dependency between statements: a name after `r:` (relation or type), `f:` (function) or `o:`
 * (operator). Schemas and arguments are left out, so it may match more objects than meant. Quoted
 * bodies are not read: they are checked once all objects exist.
 */
export type Reference = string

/** Returns the references that a statement depends on. */
export function referencesIn(stmt: Node): Reference[] {
  const found = new Set<Reference>()
  // CREATE AGGREGATE and CREATE OPERATOR write the names of functions as types.
  const isDefinition = 'DefineStmt' in stmt
  const visit = (value: unknown) => {
    if (typeof value !== 'object' || value === null) return
    if (Array.isArray(value)) {
      for (const item of value) visit(item)
      return
    }
    const { relname, names, funcname, name, lexpr, rexpr, objname } = value as AnyNode
    if (relname) found.add(`r:${relname}`)
    if (Array.isArray(names)) {
      const last = strings(names).at(-1)
      found.add(`r:${last}`)
      if (isDefinition) found.add(`f:${last}`)
    }
    if (funcname) found.add(`f:${strings(funcname).at(-1)}`)
    if (objname) found.add(`f:${strings(objname).at(-1)}`)
    if (Array.isArray(name) && (lexpr || rexpr)) found.add(`o:${strings(name).at(-1)}`)
    for (const inner of Object.values(value)) visit(inner)
  }
  visit(stmt)
  return [...found]
}

/** Returns the reference by which statements depend on an object; undefined if none can. */
export function referenceTo({ kind, name }: Made): Reference | undefined {
  switch (kind) {
    case 'function':
    case 'procedure':
    case 'aggregate':
      return `f:${name}`
    case 'view':
    case 'materialized view':
    case 'type':
      return `r:${name}`
    case 'operator':
      return `o:${name}`
    default:
      return undefined
  }
}

interface AnyNode {
  relname?: string
  names?: Node[]
  funcname?: Node[]
  objname?: Node[]
  name?: Node[] | string
  lexpr?: unknown
  rexpr?: unknown
}
