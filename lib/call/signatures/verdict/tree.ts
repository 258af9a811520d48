/** A node of a syntax tree, as the parser writes it in JSON. */
export type Tree = { [key: string]: unknown }

/** The names of a qualified name: `[{String: {sval}}, …]`; `*` and the like are left out. */
export function namesOf(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  return list.flatMap((node: { String?: { sval?: string } }) => node?.String?.sval ?? [])
}

/** The text of a constant, cast or not; undefined of all else. */
export function textOf(tree: Tree | undefined): string | undefined {
  const { A_Const, TypeCast } = (tree ?? {}) as {
    A_Const?: { sval?: { sval?: string } }
    TypeCast?: { arg: Tree }
  }
  if (TypeCast) return textOf(TypeCast.arg)
  return A_Const?.sval && (A_Const.sval.sval ?? '')
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null
}
