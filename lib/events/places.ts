/** Something that has a place, and the address of its client. */
interface Placed {
  readonly address: string
}

/**
 * Returns who gives its place to a newcomer where all are taken: the oldest of the address that has the
 * most, if the newcomer's has fewer by two at least, so that the two do not take turns. Undefined: nobody.
 * @param placed the oldest first
 */
export function findDisplaced<T extends Placed>(
  placed: Iterable<T>,
  address: string,
): T | undefined {
  const groups = new Map<string, T[]>()
  for (const one of placed) {
    const group = groups.get(one.address)
    if (group) group.push(one)
    else groups.set(one.address, [one])
  }
  let most: T[] = []
  for (const group of groups.values()) if (group.length > most.length) most = group
  const own = groups.get(address)?.length ?? 0
  return most.length >= own + 2 ? most[0] : undefined
}
