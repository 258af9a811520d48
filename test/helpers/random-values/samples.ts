import fc from 'fast-check'

// Random values of every PostgreSQL type, each written both as JSON and as SQL. Both forms are
// generated here side by side, independent of the gateway's conversions.

/** A value in both forms. */
export interface Sample {
  /** The value as the JSON of a request. */
  json: string
  /** The value as a SQL expression. */
  sql: string
}

/** A type and a generator of its values. */
export interface RandomType {
  /** Name of the type, as a function declares it. */
  type: string
  values: fc.Arbitrary<Sample>
  /** Extension that provides the type. */
  extension?: string
  /**
   * True if a JSON array is a value of the type; in an array of the type it is then an element, not
   * another dimension.
   */
  isArray?: boolean
}

/** A type that the tests define, with the statement that creates it. */
export interface OwnType extends RandomType {
  definition: string
}

export const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`

export const nothing = (type: string): Sample => ({ json: 'null', sql: `null::${type}` })

/** Returns the string as JSON with every character escaped. */
function escaped(text: string): string {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
  return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`
}

/** Returns a type whose values are texts, sent as JSON strings. */
export function strings(
  type: string,
  texts: fc.Arbitrary<string>,
  more: Partial<RandomType> = {},
): RandomType {
  const values = fc.tuple(texts, fc.boolean()).map(([text, escapes]) => ({
    json: escapes ? escaped(text) : JSON.stringify(text),
    sql: `${quoted(text)}::${type}`,
  }))
  return { type, values, ...more }
}

/**
 * Returns a type whose values are numbers in JSON's syntax, sent as JSON numbers or strings;
 * `others` are sent as strings only.
 */
export function numbers(
  type: string,
  texts: fc.Arbitrary<string>,
  others: string[] = [],
): RandomType {
  const values = fc
    .oneof(
      { weight: 8, arbitrary: fc.tuple(texts, fc.boolean()) },
      ...(others.length > 0
        ? [{ weight: 1, arbitrary: fc.tuple(fc.constantFrom(...others), fc.constant(true)) }]
        : []),
    )
    .map(([text, isString]) => ({
      json: isString ? JSON.stringify(text) : text,
      sql: `${quoted(text)}::${type}`,
    }))
  return { type, values }
}
