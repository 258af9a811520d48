import fc from 'fast-check'

import { nothing, quoted, type RandomType, type Sample } from './samples.ts'

export const NOT_FINITE = ['NaN', 'Infinity', '-Infinity']

export const integer = (min: bigint, max: bigint) => fc.bigInt({ min, max }).map(String)

export const bits = (n: number) => integer(-(2n ** BigInt(n - 1)), 2n ** BigInt(n - 1) - 1n)

export const below = (n: number) => fc.integer({ min: 0, max: n - 1 })

export const two = (n: number) => String(n).padStart(2, '0')

const digits = (max: number) =>
  fc
    .integer({ min: 1, max })
    .chain((n) => fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: n, maxLength: n }))

/** Generates a JSON number with up to `max` digits before and after the point. */
export const jsonNumber = (max: number, exponent: number) =>
  fc
    .tuple(
      fc.boolean(),
      digits(max),
      fc.option(digits(max)),
      fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+'), below(exponent)), { freq: 4 }),
      fc.boolean(),
    )
    .map(([isNegative, whole, fraction, power, isSmall]) => {
      const sign = isNegative ? '-' : ''
      const behind = fraction === null ? '' : `.${fraction}`
      const mark = power && isSmall && power[0] !== 'e+' ? `${power[0]}-` : power?.[0]
      return `${sign}${whole.replace(/^0+(?=\d)/, '')}${behind}${power ? `${mark}${power[1]}` : ''}`
    })

export const writtenAsJsonNumber = (n: number) => (Object.is(n, -0) ? '-0' : String(n))

export const double = fc.double({ noDefaultInfinity: true, noNaN: true })

export const coordinate = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(writtenAsJsonNumber)

export const point = fc.tuple(coordinate, coordinate).map(([x, y]) => `(${x},${y})`)

const TRICKY = ['"', "'", '\\', ',', ';', '{', '}', '(', ')', '[', ']', ':', '=>', '$1', '%', ' ']

const WORDS = ['null', 'NULL', 'true', '1.50', '\n', '\t', '\u2028', '\u0001', '\u007f', 'é', '😀']

/** Any text that PostgreSQL can store: all of Unicode but NUL. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }).map((any) => any.replaceAll('\0', '')),
  fc.string({ unit: fc.constantFrom(...TRICKY, ...WORDS), maxLength: 8 }),
)

export const word = fc.string({
  unit: fc.constantFrom(...'abcXYZ019_'),
  minLength: 1,
  maxLength: 12,
})

/**
 * Days by their Julian number, which PostgreSQL reads: from 4713 BC to the last day of its type.
 */
export const day = (last: number) => fc.integer({ min: 1, max: last }).map((n) => `J${n}`)

export const recentDay = fc
  .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))

export const LAST_DATE = 2_147_483_493

const LAST_TIMESTAMP = 109_203_526

export const time = fc
  .tuple(below(24), below(60), below(60), below(1_000_000))
  .map(([h, m, s, us]) => `${two(h)}:${two(m)}:${two(s)}.${String(us).padStart(6, '0')}`)

export const zone = fc
  .tuple(fc.constantFrom('+', '-'), below(15), below(60))
  .map(([sign, h, m]) => `${sign}${two(h)}:${two(m)}`)

export const timestamp = fc
  .tuple(fc.oneof(day(LAST_TIMESTAMP), recentDay), fc.constantFrom(' ', 'T'), time)
  // PostgreSQL reads a "T" after a Julian day differently.
  .map(([date, t, clock]) => `${date}${date.startsWith('J') ? ' ' : t}${clock}`)

export const timestamptz = fc.tuple(timestamp, zone).map((parts) => parts.join(''))

export const INFINITE = [fc.constant('infinity'), fc.constant('-infinity')]

export const interval = fc
  .tuple(bits(32), bits(32), bits(31), time)
  .map(
    ([months, days, hours, [, , , ...clock]]) =>
      `${months} mons ${days} days ${hours}:${clock.join('')}`,
  )

export const hex = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((array) => Array.from(array, (byte) => byte.toString(16).padStart(2, '0')))

export const bytes = fc.uint8Array({ maxLength: 40 }).chain((array) =>
  fc.constantFrom(
    `\\x${Buffer.from(array).toString('hex')}`,
    // The escape format.
    Array.from(array, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
  ),
)

export const bitString = (minLength: number) =>
  fc.string({ unit: fc.constantFrom('0', '1'), minLength, maxLength: 40 })

/** Generates ranges over values that are ordered by a number. */
export function range(
  subtype: fc.Arbitrary<bigint>,
  write: (n: bigint) => string,
): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.constant('empty') },
    {
      weight: 6,
      arbitrary: fc
        .tuple(
          fc.array(subtype, { minLength: 2, maxLength: 2 }),
          fc.constantFrom('[]', '[)', '(]', '()'),
          fc.constantFrom('both', 'both', 'both', 'lower', 'upper', 'none'),
        )
        .map(([ends, brackets, known]) => {
          const [low, high] = ends.sort((a, b) => (a < b ? -1 : 1)) as [bigint, bigint]
          const lower = known === 'both' || known === 'lower' ? `"${write(low)}"` : ''
          const upper = known === 'both' || known === 'upper' ? `"${write(high)}"` : ''
          return `${brackets[0]}${lower},${upper}${brackets[1]}`
        }),
    },
  )
}

export const between = (min: number, max: number) =>
  fc.bigInt({ min: BigInt(min), max: BigInt(max) })

export const hundredths = (n: bigint) =>
  `${n < 0n ? '-' : ''}${(n < 0n ? -n : n) / 100n}.${two(Number((n < 0n ? -n : n) % 100n))}`

const julian = (n: bigint) => `J${n}`

const seconds = (n: bigint) =>
  `J${n / 86_400n} ${two(Number((n % 86_400n) / 3600n))}:${two(Number((n % 3600n) / 60n))}:${two(Number(n % 60n))}`

const aDay = between(1, 5_000_000)

const aSecond = between(86_400, 86_400 * 5_000_000)

export const ranges = {
  int4: range(between(-2_000_000_000, 2_000_000_000), String),
  int8: range(between(-9e15, 9e15), (n) => `${n}`),
  num: range(between(-1e12, 1e12), hundredths),
  date: range(aDay, julian),
  ts: range(aSecond, seconds),
  tstz: range(aSecond, (n) => `${seconds(n)}+02`),
}

export const multirange = (one: fc.Arbitrary<string>) =>
  fc.array(one, { maxLength: 4 }).map((many) => `{${many.join(',')}}`)

/** Generates a JSON text without white space; `key` generates its keys. */
function jsonText(key: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const { value } = fc.letrec<{ value: string }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, depthIdentifier: 'json' },
      jsonNumber(25, 300),
      text.map((one) => JSON.stringify(one)),
      fc.constantFrom('true', 'false', 'null', '-0', '1.0', '{}', '[]'),
      fc.array(tie('value'), { maxLength: 4 }).map((many) => `[${many.join(',')}]`),
      fc
        .uniqueArray(fc.tuple(key, tie('value')), { maxLength: 4, selector: ([name]) => name })
        .map((many) => `{${many.map(([k, v]) => `${JSON.stringify(k)}:${v}`).join(',')}}`),
    ),
  }))
  return value
}

export function json(type: string, key: fc.Arbitrary<string>): RandomType {
  const values = jsonText(key).map((one) =>
    one === 'null' ? nothing(type) : { json: one, sql: `${quoted(one)}::${type}` },
  )
  return { type, values, isArray: true }
}

const lexeme = text
  .map((one) => one.replaceAll('\\', '\\\\').replaceAll("'", "''"))
  .filter((one) => one !== '')

export const tsvector = fc
  .array(
    fc.tuple(
      lexeme,
      fc.option(fc.tuple(fc.integer({ min: 1, max: 16383 }), fc.constantFrom('A', 'B', 'C', ''))),
    ),
    { maxLength: 5 },
  )
  .map((many) => many.map(([one, at]) => `'${one}'${at ? `:${at.join('')}` : ''}`).join(' '))

export const { tsquery } = fc.letrec<{ tsquery: string }>((tie) => ({
  tsquery: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'tsquery' },
    fc.tuple(lexeme, fc.constantFrom('', ':*', ':A', ':*BD')).map(([one, how]) => `'${one}'${how}`),
    tie('tsquery').map((one) => `!(${one})`),
    fc
      .tuple(tie('tsquery'), fc.constantFrom('&', '|', '<->', '<3>'), tie('tsquery'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
  ),
}))

export const xmlText = fc
  .string({ unit: fc.constantFrom(...'abc é😀"\'()[]{},;\\\n'), maxLength: 12 })
  .map((one) => `<a b="${one.replaceAll('"', '&quot;')}">${one}&lt;&amp;<c/></a>`)

/** All values of an hstore are texts. */
export const hstore: fc.Arbitrary<Sample> = fc
  .uniqueArray(fc.tuple(text, fc.option(text)), { maxLength: 4, selector: ([key]) => key })
  .map((pairs) => {
    const array = (texts: (string | null)[]) =>
      `array[${texts.map((one) => (one === null ? 'null' : quoted(one))).join(',')}]::text[]`
    const fields = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
    return {
      json: `{${fields.join(',')}}`,
      sql: `hstore(${array(pairs.map(([key]) => key))}, ${array(pairs.map(([, value]) => value))})`,
    }
  })

export const ean13 = fc
  .string({ unit: fc.constantFrom(...'0123456789'), minLength: 9, maxLength: 9 })
  .map((nine) => {
    const twelve = `400${nine}`
    const sum = [...twelve].reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 3 : 1), 0)
    return `${twelve}${(10 - (sum % 10)) % 10}`
  })
