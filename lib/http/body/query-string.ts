import { GatewayError } from '../../errors.ts'

/**
 * Returns the query of a URL in the encoding of forms (`+` is a space): each name with all its
 * values in order. A name without `=` has the value null, which differs from ''.
 * @throws {GatewayError} invalid_request for text that is not percent-encoded UTF-8
 */
export function parseQuery(url: string): Map<string, (string | null)[]> {
  const values = new Map<string, (string | null)[]>()
  const start = url.indexOf('?')
  if (start < 0) return values
  for (const field of url.slice(start + 1).split('&')) {
    if (field === '') continue
    const equals = field.indexOf('=')
    const name = decode(equals < 0 ? field : field.slice(0, equals))
    const value = equals < 0 ? null : decode(field.slice(equals + 1))
    const others = values.get(name)
    if (others) others.push(value)
    else values.set(name, [value])
  }
  return values
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new GatewayError(
      'invalid_request',
      `The query has "${text.slice(0, 80)}", which is not percent-encoded UTF-8`,
    )
  }
}
