/** A node of a syntax tree in the parser's JSON. */
export type Tree = { [key: string]: unknown }

/** Returns the parts of a qualified name, `[{String: {sval}}, …]`, without `*` and the like. */
export function namesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((node: { String?: { sval?: string } }) => node?.String?.sval ?? [])
}

/** Built-in types whose values are identical to their texts. */
const TEXTS = new Set(['text', 'pg_catalog.text', 'pg_catalog.varchar'])

/** Returns the text of a constant, with or without a cast to text; undefined for any other node. */
export function textOf(tree: Tree | undefined): string | undefined {
  const { A_Const, TypeCast } = (tree ?? {}) as {
    A_Const?: { sval?: { sval?: string } }
    TypeCast?: Tree
  }
  // A cast to another type may change the text.
  if (TypeCast) return TEXTS.has(castTo(TypeCast) ?? '') ? textOf(TypeCast.arg as Tree) : undefined
  return A_Const?.sval && (A_Const.sval.sval ?? '')
}

/**
 * Returns the type that a TypeCast names, as `schema.name` or `name`; undefined for an array or a
 * type with a modifier.
 */
export function castTo(cast: Tree): string | undefined {
  const { names, arrayBounds, typmods } = cast.typeName as Tree
  return arrayBounds || typmods ? undefined : namesOf(names).join('.')
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null
}
