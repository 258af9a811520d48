/**
 * The value of a preference in a Prefer header (RFC 7240): that of the first of its name, in lower
 * case, without quotes; undefined where it is not there or has none.
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
