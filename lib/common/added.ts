/**
 * Returns a list with one more element: a new one with the first element, otherwise the same list. An
 * empty array that grows takes room for 17 elements; this is for lists that mostly have one.
 */
export function added<T>(list: T[], element: T): T[] {
  if (list.length === 0) return [element]
  list.push(element)
  return list
}
