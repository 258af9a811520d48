/**
 * Returns the value of a preference in a Prefer header (RFC 7240), in lower case and without
 * quotes. The first preference of that name counts. Undefined if there is none or it has no value.
 */
export function preferenceOf(
  header: string | string[] | undefined,
  name: string,
): string | undefined {
  if (header === undefined) return undefined
  for (const preference of String(header).split(',')) {
    const [given = '', value] = preference.split(';')[0]!.split('=')
    if (given.trim().toLowerCase() !== name) continue
    return (
      value
        ?.trim()
        .replace(/^"(.*)"$/, '$1')
        .toLowerCase() || undefined
    )
  }
  return undefined
}
