/** A node of a syntax tree, as the parser writes it in JSON. */
export type Tree = { [key: string]: unknown }

/** The names of a qualified name: `[{String: {sval}}, …]`; `*` and the like are left out. */
export function namesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((node: { String?: { sval?: string } }) => node?.String?.sval ?? [])
}

/** Types of PostgreSQL's own whose values are texts as they stand. */
const TEXTS = new Set(['text', 'pg_catalog.text', 'pg_catalog.varchar'])

/** The text of a constant, cast to text or not; undefined of all else. */
export function textOf(tree: Tree | undefined): string | undefined {
  const { A_Const, TypeCast } = (tree ?? {}) as {
    A_Const?: { sval?: { sval?: string } }
    TypeCast?: Tree
  }
  // Another type may make another text of it.
  if (TypeCast) return TEXTS.has(castTo(TypeCast) ?? '') ? textOf(TypeCast.arg as Tree) : undefined
  return A_Const?.sval && (A_Const.sval.sval ?? '')
}

/** The type that a TypeCast names, as `schema.name` or `name`; undefined of an array. */
export function castTo(cast: Tree): string | undefined {
  const { names, arrayBounds, typmods } = cast.typeName as Tree
  return arrayBounds || typmods ? undefined : namesOf(names).join('.')
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null
}
