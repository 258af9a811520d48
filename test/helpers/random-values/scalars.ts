import fc from 'fast-check'

import {
  below,
  between,
  bitString,
  bits,
  bytes,
  coordinate,
  day,
  double,
  ean13,
  hex,
  hstore,
  hundredths,
  INFINITE,
  integer,
  interval,
  json,
  jsonNumber,
  LAST_DATE,
  multirange,
  NOT_FINITE,
  point,
  ranges,
  recentDay,
  text,
  time,
  timestamp,
  timestamptz,
  tsquery,
  tsvector,
  word,
  writtenAsJsonNumber,
  xmlText,
  zone,
} from './arbitraries.ts'
import { numbers, type RandomType, strings } from './samples.ts'

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
