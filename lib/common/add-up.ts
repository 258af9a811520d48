/** Adds up objects that have the same members, all of them numbers; of no objects, an empty one. */
export function addUp<T extends object>(objects: T[]): T {
  const names = Object.keys(objects[0] ?? {}) as (keyof T)[]
  const sum = (name: keyof T) => objects.reduce((total, one) => total + Number(one[name]), 0)
  return Object.fromEntries(names.map((name) => [name, sum(name)])) as T
}
