/** Rows of types: each type can hold every value of the types before it in its row. */
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

/** Types to which every other type converts without loss. */
const TEXT_TYPES = new Set(['text', 'character varying', 'citext'])

/** Returns whether changing a column from one type to the other keeps every value. */
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

/** Returns a type with its length or precision, as format_type writes it. */
export function withModifiers(type: string, modifiers: number[]): string {
  if (modifiers.length === 0) return type
  // The precision of a time type follows its first word: timestamp(3) with time zone.
  const end = /^time(stamp)?(?= |$)|^[^[]*/.exec(type)?.[0].length ?? type.length
  return `${type.slice(0, end)}(${modifiers.join(',')})${type.slice(end)}`
}

/** One step in a chain of casts. */
export interface TypeStep {
  type: string
  isEnum: boolean
}

/**
 * Returns whether a chain of casts keeps every value or raises an error. A text casts to an enum
 * only if the enum has a label of that text.
 */
export function isLossless(from: string, steps: TypeStep[]): boolean {
  let last = from
  return steps.every(({ type, isEnum }) => {
    const isKept = isWidening(last, type) || (isEnum && TEXT_TYPES.has(splitType(last)[0]))
    last = type
    return isKept
  })
}

/** Returns whether the same type with other modifiers is at least as large. */
function holds(base: string, from: number[], to: number[]): boolean {
  if (to.length === 0) return true
  if (from.length === 0) return false
  if (base !== 'numeric') return to.every((value, i) => value >= (from[i] ?? 0))
  const [fromPrecision = 0, fromScale = 0] = from
  const [toPrecision = 0, toScale = 0] = to
  return toScale >= fromScale && toPrecision - toScale >= fromPrecision - fromScale
}

/** Splits `numeric(10,2)` into `numeric` and [10, 2]; likewise `timestamp(3) with time zone`. */
function splitType(type: string): [string, number[]] {
  const match = /^([^()]*)(?:\(([-\d,]+)\))?(.*)$/.exec(type)
  const modifiers = match?.[2] ? match[2].split(',').map(Number) : []
  return [`${match?.[1] ?? type}${match?.[3] ?? ''}`, modifiers]
}
