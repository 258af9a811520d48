/** Types of which each holds every value of those before it in its row. */
const WIDENINGS = [
  ['smallint', 'integer', 'bigint', 'numeric'],
  ['real', 'double precision'],
  ['date', 'timestamp without time zone'],
  ['date', 'timestamp with time zone'],
  ['timestamp without time zone', 'timestamp with time zone'],
  ['timestamp with time zone', 'timestamp without time zone'],
  ['json', 'jsonb'],
  ['cidr', 'inet'],
]

/** Types that a change turns into a text without losing anything. */
const TEXT_TYPES = new Set(['text', 'character varying', 'citext'])

/** Whether every value of one type is kept when its column is changed to the other. */
export function isWidening(from: string, to: string): boolean {
  const [fromBase, fromModifiers] = splitType(from)
  const [toBase, toModifiers] = splitType(to)
  if (TEXT_TYPES.has(toBase) && toModifiers.length === 0) return true
  if (fromBase === toBase) return holds(fromBase, fromModifiers, toModifiers)
  const [element, isArray] = elementOf(fromBase)
  const [toElement, isToArray] = elementOf(toBase)
  return (
    isArray === isToArray &&
    toModifiers.length === 0 &&
    WIDENINGS.some((row) => {
      const start = row.indexOf(element)
      return start >= 0 && row.indexOf(toElement) > start
    })
  )
}

function elementOf(type: string): [string, boolean] {
  return type.endsWith('[]') ? [type.slice(0, -2), true] : [type, false]
}

/** A type with its length or precision, as PostgreSQL writes it (format_type). */
export function withModifiers(type: string, modifiers: number[]): string {
  if (modifiers.length === 0) return type
  // The precision of a time stands behind its first word: timestamp(3) with time zone.
  const end = /^time(stamp)?(?= |$)|^[^[]*/.exec(type)?.[0].length ?? type.length
  return `${type.slice(0, end)}(${modifiers.join(',')})${type.slice(end)}`
}

/** One step of a conversion. */
export interface TypeStep {
  type: string
  isEnum: boolean
}

/**
 * Whether a value that is cast from type to type stays what it is, or fails. A text becomes a value
 * of an enum only where that has the same name.
 */
export function isLossless(from: string, steps: TypeStep[]): boolean {
  let last = from
  return steps.every(({ type, isEnum }) => {
    const isKept = isWidening(last, type) || (isEnum && TEXT_TYPES.has(splitType(last)[0]))
    last = type
    return isKept
  })
}

/** The same type with another length or precision: is the new one at least as large? */
function holds(base: string, from: number[], to: number[]): boolean {
  if (to.length === 0) return true
  if (from.length === 0) return false
  if (base !== 'numeric') return to.every((value, i) => value >= (from[i] ?? 0))
  const [fromPrecision = 0, fromScale = 0] = from
  const [toPrecision = 0, toScale = 0] = to
  return toScale >= fromScale && toPrecision - toScale >= fromPrecision - fromScale
}

/** `numeric(10,2)` is `numeric` and 10, 2; `timestamp(3) with time zone` likewise. */
function splitType(type: string): [string, number[]] {
  const match = /^([^()]*)(?:\(([-\d,]+)\))?(.*)$/.exec(type)
  const modifiers = match?.[2] ? match[2].split(',').map(Number) : []
  return [`${match?.[1] ?? type}${match?.[3] ?? ''}`, modifiers]
}
