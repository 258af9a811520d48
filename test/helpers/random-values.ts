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

const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
const nothing = (type: string): Sample => ({ json: 'null', sql: `null::${type}` })

/** Returns the string as JSON with every character escaped. */
function escaped(text: string): string {
  const units = Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
  return `"${units.map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`).join('')}"`
}

/** Returns a type whose values are texts, sent as JSON strings. */
function strings(
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
function numbers(type: string, texts: fc.Arbitrary<string>, others: string[] = []): RandomType {
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

const NOT_FINITE = ['NaN', 'Infinity', '-Infinity']

const integer = (min: bigint, max: bigint) => fc.bigInt({ min, max }).map(String)
const bits = (n: number) => integer(-(2n ** BigInt(n - 1)), 2n ** BigInt(n - 1) - 1n)
const below = (n: number) => fc.integer({ min: 0, max: n - 1 })
const two = (n: number) => String(n).padStart(2, '0')

const digits = (max: number) =>
  fc
    .integer({ min: 1, max })
    .chain((n) => fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: n, maxLength: n }))

/** Generates a JSON number with up to `max` digits before and after the point. */
const jsonNumber = (max: number, exponent: number) =>
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

const writtenAsJsonNumber = (n: number) => (Object.is(n, -0) ? '-0' : String(n))
const double = fc.double({ noDefaultInfinity: true, noNaN: true })
const coordinate = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map(writtenAsJsonNumber)
const point = fc.tuple(coordinate, coordinate).map(([x, y]) => `(${x},${y})`)

const TRICKY = ['"', "'", '\\', ',', ';', '{', '}', '(', ')', '[', ']', ':', '=>', '$1', '%', ' ']
const WORDS = ['null', 'NULL', 'true', '1.50', '\n', '\t', '\u2028', '\u0001', '\u007f', 'é', '😀']

/** Any text that PostgreSQL can store: all of Unicode but NUL. */
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }).map((any) => any.replaceAll('\0', '')),
  fc.string({ unit: fc.constantFrom(...TRICKY, ...WORDS), maxLength: 8 }),
)
const word = fc.string({ unit: fc.constantFrom(...'abcXYZ019_'), minLength: 1, maxLength: 12 })

/**
 * Days by their Julian number, which PostgreSQL reads: from 4713 BC to the last day of its type.
 */
const day = (last: number) => fc.integer({ min: 1, max: last }).map((n) => `J${n}`)
const recentDay = fc
  .date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
  .map((date) => date.toISOString().slice(0, 10))
const LAST_DATE = 2_147_483_493
const LAST_TIMESTAMP = 109_203_526
const time = fc
  .tuple(below(24), below(60), below(60), below(1_000_000))
  .map(([h, m, s, us]) => `${two(h)}:${two(m)}:${two(s)}.${String(us).padStart(6, '0')}`)
const zone = fc
  .tuple(fc.constantFrom('+', '-'), below(15), below(60))
  .map(([sign, h, m]) => `${sign}${two(h)}:${two(m)}`)
const timestamp = fc
  .tuple(fc.oneof(day(LAST_TIMESTAMP), recentDay), fc.constantFrom(' ', 'T'), time)
  // PostgreSQL reads a "T" after a Julian day differently.
  .map(([date, t, clock]) => `${date}${date.startsWith('J') ? ' ' : t}${clock}`)
const timestamptz = fc.tuple(timestamp, zone).map((parts) => parts.join(''))
const INFINITE = [fc.constant('infinity'), fc.constant('-infinity')]

const interval = fc
  .tuple(bits(32), bits(32), bits(31), time)
  .map(
    ([months, days, hours, [, , , ...clock]]) =>
      `${months} mons ${days} days ${hours}:${clock.join('')}`,
  )

const hex = (bytes: number) =>
  fc
    .uint8Array({ minLength: bytes, maxLength: bytes })
    .map((array) => Array.from(array, (byte) => byte.toString(16).padStart(2, '0')))
const bytes = fc.uint8Array({ maxLength: 40 }).chain((array) =>
  fc.constantFrom(
    `\\x${Buffer.from(array).toString('hex')}`,
    // The escape format.
    Array.from(array, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join(''),
  ),
)
const bitString = (minLength: number) =>
  fc.string({ unit: fc.constantFrom('0', '1'), minLength, maxLength: 40 })

/** Generates ranges over values that are ordered by a number. */
function range(subtype: fc.Arbitrary<bigint>, write: (n: bigint) => string): fc.Arbitrary<string> {
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
const between = (min: number, max: number) => fc.bigInt({ min: BigInt(min), max: BigInt(max) })
const hundredths = (n: bigint) =>
  `${n < 0n ? '-' : ''}${(n < 0n ? -n : n) / 100n}.${two(Number((n < 0n ? -n : n) % 100n))}`
const julian = (n: bigint) => `J${n}`
const seconds = (n: bigint) =>
  `J${n / 86_400n} ${two(Number((n % 86_400n) / 3600n))}:${two(Number((n % 3600n) / 60n))}:${two(Number(n % 60n))}`
const aDay = between(1, 5_000_000)
const aSecond = between(86_400, 86_400 * 5_000_000)

const ranges = {
  int4: range(between(-2_000_000_000, 2_000_000_000), String),
  int8: range(between(-9e15, 9e15), (n) => `${n}`),
  num: range(between(-1e12, 1e12), hundredths),
  date: range(aDay, julian),
  ts: range(aSecond, seconds),
  tstz: range(aSecond, (n) => `${seconds(n)}+02`),
}
const multirange = (one: fc.Arbitrary<string>) =>
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

function json(type: string, key: fc.Arbitrary<string>): RandomType {
  const values = jsonText(key).map((one) =>
    one === 'null' ? nothing(type) : { json: one, sql: `${quoted(one)}::${type}` },
  )
  return { type, values, isArray: true }
}

const lexeme = text
  .map((one) => one.replaceAll('\\', '\\\\').replaceAll("'", "''"))
  .filter((one) => one !== '')
const tsvector = fc
  .array(
    fc.tuple(
      lexeme,
      fc.option(fc.tuple(fc.integer({ min: 1, max: 16383 }), fc.constantFrom('A', 'B', 'C', ''))),
    ),
    { maxLength: 5 },
  )
  .map((many) => many.map(([one, at]) => `'${one}'${at ? `:${at.join('')}` : ''}`).join(' '))
const { tsquery } = fc.letrec<{ tsquery: string }>((tie) => ({
  tsquery: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'tsquery' },
    fc.tuple(lexeme, fc.constantFrom('', ':*', ':A', ':*BD')).map(([one, how]) => `'${one}'${how}`),
    tie('tsquery').map((one) => `!(${one})`),
    fc
      .tuple(tie('tsquery'), fc.constantFrom('&', '|', '<->', '<3>'), tie('tsquery'))
      .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
  ),
}))

const xmlText = fc
  .string({ unit: fc.constantFrom(...'abc é😀"\'()[]{},;\\\n'), maxLength: 12 })
  .map((one) => `<a b="${one.replaceAll('"', '&quot;')}">${one}&lt;&amp;<c/></a>`)

/** All values of an hstore are texts. */
const hstore: fc.Arbitrary<Sample> = fc
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

const ean13 = fc
  .string({ unit: fc.constantFrom(...'0123456789'), minLength: 9, maxLength: 9 })
  .map((nine) => {
    const twelve = `400${nine}`
    const sum = [...twelve].reduce((total, digit, i) => total + Number(digit) * (i % 2 ? 3 : 1), 0)
    return `${twelve}${(10 - (sum % 10)) % 10}`
  })

/** Every type that PostgreSQL has values of, and the types of its own extensions. */
export const SCALARS: RandomType[] = [
  numbers('smallint', bits(16)),
  numbers('integer', bits(32)),
  numbers('bigint', bits(64)),
  numbers('numeric', fc.oneof(jsonNumber(20, 400), jsonNumber(1000, 50)), [...NOT_FINITE, '.5']),
  numbers(
    'real',
    fc.float({ noDefaultInfinity: true, noNaN: true }).map(writtenAsJsonNumber),
    NOT_FINITE,
  ),
  numbers(
    'double precision',
    fc.oneof(double.map(writtenAsJsonNumber), jsonNumber(30, 200)),
    NOT_FINITE,
  ),
  numbers('money', between(-9e15, 9e15).map(hundredths)),
  numbers('oid', integer(0n, 2n ** 32n - 1n)),
  numbers('xid8', integer(0n, 2n ** 64n - 1n)),
  {
    type: 'boolean',
    values: fc.constantFrom(
      { json: 'true', sql: 'true' },
      { json: 'false', sql: 'false' },
      { json: '"on"', sql: 'true' },
      { json: '"f"', sql: 'false' },
    ),
  },
  strings('text', text),
  strings('varchar', text),
  strings('bpchar', text),
  strings('name', word),
  strings('"char"', fc.constantFrom('', 'a', ' ', '"', '\\', ',', '{', '\u007f')),
  strings('bytea', bytes),
  strings('uuid', fc.uuid()),
  strings('date', fc.oneof(day(LAST_DATE), recentDay, ...INFINITE)),
  strings('time', fc.oneof(time, fc.constant('24:00:00'))),
  strings(
    'timetz',
    fc.tuple(time, zone).map((parts) => parts.join('')),
  ),
  strings('timestamp', fc.oneof(timestamp, ...INFINITE)),
  strings('timestamptz', fc.oneof(timestamptz, ...INFINITE)),
  strings('interval', interval),
  strings(
    'inet',
    fc.oneof(
      fc.ipV4(),
      fc.tuple(fc.ipV4(), below(33)).map((parts) => parts.join('/')),
      fc.ipV6(),
      fc.tuple(fc.ipV6(), below(129)).map((parts) => parts.join('/')),
    ),
  ),
  strings(
    'cidr',
    fc.oneof(
      fc.ipV6(),
      fc.tuple(below(256), below(256)).map(([a, b]) => `${a}.${b}.0.0/16`),
    ),
  ),
  strings(
    'macaddr',
    hex(6).map((parts) => parts.join(':')),
  ),
  strings(
    'macaddr8',
    hex(8).map((parts) => parts.join(':')),
  ),
  strings('"bit"', bitString(1)),
  strings('varbit', bitString(0)),
  // JavaScript orders keys that are whole numbers first, so keys begin with a letter.
  json(
    'json',
    text.map((key) => `k${key}`),
  ),
  json('jsonb', text),
  strings(
    'jsonpath',
    fc.tuple(word, jsonNumber(5, 5)).map(([key, n]) => `$."${key}"[*] ? (@ > ${n})`),
  ),
  strings('tsvector', tsvector),
  strings('tsquery', fc.oneof(tsquery, fc.constant(''))),
  strings('xml', xmlText),
  strings('point', point),
  strings(
    'line',
    fc
      .tuple(fc.integer({ min: 1, max: 99 }), coordinate, coordinate)
      .map((abc) => `{${abc.join(',')}}`),
  ),
  strings(
    'lseg',
    fc.tuple(point, point).map((ends) => `[${ends.join(',')}]`),
  ),
  strings(
    'box',
    fc.tuple(point, point).map((ends) => ends.join(',')),
  ),
  strings(
    'path',
    fc
      .tuple(fc.constantFrom('[]', '()'), fc.array(point, { minLength: 1, maxLength: 4 }))
      .map(([[open, close], points]) => `${open}${points.join(',')}${close}`),
  ),
  strings(
    'polygon',
    fc.array(point, { minLength: 1, maxLength: 4 }).map((points) => `(${points.join(',')})`),
  ),
  strings(
    'circle',
    fc.tuple(point, below(1000)).map((parts) => `<${parts.join(',')}>`),
  ),
  strings(
    'pg_lsn',
    fc.tuple(hex(4), hex(4)).map((halves) => halves.map((half) => half.join('')).join('/')),
  ),
  strings(
    'tid',
    fc.tuple(below(2 ** 32), below(65536)).map((parts) => `(${parts.join(',')})`),
  ),
  strings(
    'pg_snapshot',
    below(1e6).map((n) => `${n + 1}:${n + 9}:${n + 2},${n + 5}`),
  ),
  strings('refcursor', word),
  strings('regclass', fc.constantFrom('pg_class', '1', '-')),
  strings('regtype', fc.constantFrom('integer', 'timestamp with time zone', 'text[]', '-')),
  ...Object.entries(ranges).flatMap(([name, one]) => [
    strings(`${name}range`, one),
    strings(`${name}multirange`, multirange(one)),
  ]),
  { type: 'hstore', values: hstore, extension: 'hstore' },
  strings('citext', text, { extension: 'citext' }),
  strings(
    'ltree',
    fc.array(word, { maxLength: 5 }).map((labels) => labels.join('.')),
    { extension: 'ltree' },
  ),
  strings(
    'lquery',
    word.map((one) => `${one}.*{1,2}.!${one}*@`),
    { extension: 'ltree' },
  ),
  strings(
    'cube',
    fc.array(fc.integer(), { minLength: 1, maxLength: 4 }).map((n) => `(${n.join(',')})`),
    { extension: 'cube' },
  ),
  strings(
    'seg',
    below(1000).map((n) => `${n}.50 .. ~${n + 1}.0`),
    { extension: 'seg' },
  ),
  strings('ean13', ean13, { extension: 'isn' }),
  strings(
    'query_int',
    below(1000).map((n) => `${n} & !(${n + 1} | ${n + 2})`),
    { extension: 'intarray' },
  ),
]

/** Returns an array type of the type, with one or two dimensions and nulls. */
export function arrayOf({ type, values, isArray, extension }: RandomType): RandomType {
  const elements = fc.option(values, { nil: nothing(type), freq: 5 })
  const flat = fc.array(elements, { maxLength: 5 })
  const grid = fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 }))
    .chain(([height, width]) => {
      const row = fc.array(elements, { minLength: width, maxLength: width }).map(list)
      return fc.array(row, { minLength: height, maxLength: height })
    })
  const array = `${type}[]`
  const shapes = isArray ? flat : fc.oneof({ weight: 3, arbitrary: flat }, grid)
  return {
    type: array,
    values: shapes.map(list).map(({ json, sql }) => ({ json, sql: `${sql}::${array}` })),
    ...(extension && { extension }),
  }
}

function list(samples: Sample[]): Sample {
  return {
    json: `[${samples.map((one) => one.json).join(',')}]`,
    sql: `array[${samples.map((one) => one.sql).join(',')}]`,
  }
}

/** Returns a composite type; a null field is a null member of the object, or is left out. */
function composite(name: string, fields: Record<string, RandomType>): OwnType {
  const all = Object.entries(fields).map(([field, { type, values }]) =>
    fc
      .tuple(fc.option(values, { nil: nothing(type), freq: 5 }), fc.boolean())
      .map(([one, isLeftOut]) => ({
        sql: one.sql,
        pair: one.json === 'null' && isLeftOut ? [] : [`${JSON.stringify(field)}:${one.json}`],
      })),
  )
  const columns = Object.entries(fields).map(
    ([field, { type }]) => `"${field.replaceAll('"', '""')}" ${type}`,
  )
  return {
    type: name,
    definition: `create type ${name} as (${columns.join(', ')})`,
    values: fc.tuple(...all).map((samples) => ({
      json: `{${samples.flatMap(({ pair }) => pair).join(',')}}`,
      sql: `row(${samples.map(({ sql }) => sql).join(',')})::${name}`,
    })),
  }
}

function domain(name: string, base: RandomType, check: string): OwnType {
  return {
    type: name,
    definition: `create domain ${name} as ${base.type} ${check}`,
    values: base.values.map(({ json, sql }) => ({ json, sql: `${sql}::${name}` })),
    ...(base.isArray && { isArray: true }),
  }
}

const known = (type: string) => SCALARS.find((one) => one.type === type)!

const MOODS = ['happy', 'so so', `it's "ok", {really}`, 'NULL', 'é😀']
const mood: OwnType = {
  ...strings('mood', fc.constantFrom(...MOODS)),
  definition: `create type mood as enum (${MOODS.map(quoted).join(', ')})`,
}
const floatrange: OwnType = {
  ...strings('floatrange', range(between(-1e9, 1e9), hundredths)),
  definition: 'create type floatrange as range (subtype = float8)',
}
const positive = domain(
  'positive',
  numbers('integer', integer(1n, 2n ** 31n - 1n)),
  'check (value > 0)',
)
const amount = domain('amount', known('numeric'), '')
const ids: OwnType = {
  ...domain('ids', arrayOf(known('bigint')), 'check (cardinality(value) < 100)'),
  isArray: true,
}
const document = domain('document', known('jsonb'), `check (value is distinct from '"no"')`)
const pair = composite('pair', { n: known('numeric'), 'T "x"': known('text') })
const place = composite('place', {
  at: known('timestamptz'),
  pair,
  pairs: arrayOf(pair),
  mood,
  moods: arrayOf(mood),
  document,
  raw: known('json'),
  grid: arrayOf(known('integer')),
  ids,
  amount,
  bytes: known('bytea'),
  range: known('tstzrange'),
})

/** Types such as platforms define, in the order of their creation. */
export const OWN: OwnType[] = [
  mood,
  floatrange,
  positive,
  amount,
  ids,
  document,
  pair,
  domain('known_pair', pair, ''),
  place,
]
