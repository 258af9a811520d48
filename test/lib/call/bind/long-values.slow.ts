import { expect, test } from 'vitest'
import { bindCall } from '../../../../lib/call/bind/parameters.ts'
import { CALL_MEMBERS, parseCall } from '../../../../lib/call/request.ts'
import type {
  ArgumentKind,
  Signature,
  TypeShapes,
} from '../../../../lib/call/signatures/signature.ts'
import { fieldsOf } from '../../../../lib/json/fields.ts'
import { scanJson } from '../../../../lib/json/scan.ts'
import { signatureOf } from '../../../helpers/signatures.ts'
import { longestStall } from '../../../helpers/stall.ts'

/** findings/CALL.md, B3: what a body has must not hold up the event loop. */
const BODY_BYTES = 16 * 1024 * 1024

/** Milliseconds of CPU; 50 on a machine that does nothing else. */
const MAX_STALL_MS = 250

const TYPES: TypeShapes = {
  'hstore[]': { kind: 'array', of: 'hstore' },
  hstore: { kind: 'hstore' },
  'bytea[]': { kind: 'array', of: 'bytea' },
  bytea: { kind: 'bytea' },
  'pair[]': { kind: 'array', of: 'pair' },
  pair: { kind: 'composite', attributes: { a: 'text', b: 'hstore' } },
}

function signature(kind: ArgumentKind, type: string): Signature {
  const category = type.endsWith('[]') ? 'A' : 'U'
  const argument = { name: 'p', type, category, preferred: false, kind }
  return signatureOf([{ ...argument, element: null, default: null }], TYPES)
}

const filled = (piece: string) => piece.repeat(Math.floor(BODY_BYTES / piece.length))
const members = () => Array.from({ length: 1_000_000 }, (_, i) => `"k${i}":"v"`).join()

test.each<[ArgumentKind, string, string, () => string]>([
  ['json', 'json', 'numbers', () => `[${filled('1.0,')}1]`],
  ['structured', 'integer[]', 'numbers', () => `[${filled('1,')}1]`],
  ['json[]', 'json[]', 'objects', () => `[${filled('{"a":1},')}1]`],
  ['scalar', 'text', 'escapes', () => `"${filled('\\n')}"`],
  ['scalar', 'text', 'characters', () => `"${filled('ab')}"`],
  ['scalar', 'numeric', 'digits', () => filled('7')],
  ['bytea', 'bytea', 'bytes', () => `[${filled('255,')}1]`],
  ['structured', 'bytea[]', 'bytes', () => `[${filled('[255,1],')}[1]]`],
  ['structured', 'bytea[]', 'one long element', () => `[[${filled('255,')}1]]`],
  ['structured', 'bytea[]', 'texts', () => `[${filled('"\\\\x01",')}[1]]`],
  ['polymorphic', 'anyelement', 'numbers', () => `[${filled('1000000,')}1]`],
  ['structured', 'pair[]', 'objects', () => `[${filled('{"a":"xxxxxxxxxxxx"},')}{}]`],
  ['structured', 'pair[]', 'hstores', () => `[${filled('{"b":{"k":"vvvvvvvvvvvv"}},')}{}]`],
  ['hstore', 'hstore', 'a million members', () => `{${members()}}`],
  ['money[]', 'money[]', 'numbers', () => `[${filled('1000,')}1]`],
])('a %s (%s) of 16 MB of %s is bound in slices', async (kind, type, _, value) => {
  const bytes = Buffer.from(`{"platform":"p","function":"f","params":{"p":${value()}}}`)
  let bound = 0
  const ms = await longestStall(async () => {
    const { params } = parseCall(fieldsOf(await scanJson(bytes), CALL_MEMBERS))
    const call = await bindCall('f', [signature(kind, type)], params)
    bound = call.parameters.length
  })
  expect(bound).toBe(1)
  expect(ms).toBeLessThan(MAX_STALL_MS)
})
