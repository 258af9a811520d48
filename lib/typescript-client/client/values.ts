/** Any JSON. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json }

// biome-ignore lint/suspicious/noExplicitAny: functions of every shape
export type Any = any

/** Which values of a row are bigint: 1, an array of such, or an object with such members. */
export type Bigints = 1 | [Bigints] | { [name: string]: Bigints }

/**
 * Writes values that JSON has not: bigint as digits, bytes as PostgreSQL's hexadecimal text, NaN and
 * infinities by their names. JSON itself would make null of these, and of a Date without a time.
 */
export function encode(this: Any, key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  // Not the value itself: a Buffer or a Date has written itself as another one already.
  const bytes = this[key]
  if (bytes instanceof Date && value === null) throw new TypeError(`${key} is an invalid Date`)
  if (!(bytes instanceof Uint8Array)) return value
  return `\\x${[...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

export function toBigints(value: Any, bigints: Bigints): unknown {
  if (value === null) return null
  // Arrays may have further dimensions.
  if (Array.isArray(value)) {
    const inside = Array.isArray(bigints) ? bigints[0] : bigints
    return value.map((one) => toBigints(one, Array.isArray(one) ? bigints : inside))
  }
  if (bigints === 1) return BigInt(value)
  if (Array.isArray(bigints)) return value
  // Another overload may have other columns.
  const converted = Object.entries(bigints)
    .filter(([name]) => name in value)
    .map(([name, one]) => [name, toBigints(value[name], one)])
  return { ...value, ...Object.fromEntries(converted) }
}
