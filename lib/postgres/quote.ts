/** Returns an SQL identifier in quotes (PostgreSQL manual, "Identifiers and Key Words"). */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Returns an SQL string in quotes, as PostgreSQL's quote_literal() does. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

/**
 * Returns SQL with values in the place of `$1` to `$9`: a query without parameters, which postgres.js
 * does not describe first.
 */
export function withValues(text: string, values: (string | null)[]): string {
  return text.replace(/\$([1-9])/g, (_, number: string) => {
    const value = values[Number(number) - 1]
    return value === null || value === undefined ? 'null' : quoteLiteral(value)
  })
}
