import type { Table } from './changes/tables.ts'

/**
 * Whether a table or a composite type that stayed has a column of another type, or has lost one: what
 * sessions have planned with its row type must not be used any more.
 */
export function isAnyRetyped(before: Table[], after: Table[]): boolean {
  const current = new Map(after.map(({ oid, types }) => [oid, types]))
  return before.some(({ oid, types }) => {
    const now = current.get(oid)
    return now && Object.keys(types).some((number) => types[number] !== now[number])
  })
}
