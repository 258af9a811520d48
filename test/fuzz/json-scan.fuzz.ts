import fc from 'fast-check'
import { describe } from 'vitest'
import { GatewayError } from '../../lib/errors.ts'
import { countOf, elementsOf, type Json, membersOf } from '../../lib/json/json.ts'
import { scanInSlices, scanNow } from '../../lib/json/scan.ts'
import { jsonOf, stringOf } from '../../lib/json/text.ts'
import { fuzz } from './fuzz.ts'
import { mutatedTexts } from './mutations.ts'

const TEXTS = [
  '{"platform":"myapp","tenant_id":"clinic_001","function":"get_patient_by_id","params":[123]}',
  '{"platform":"p","function":"f","params":{"p_a":[1.50,{"b":null}],"p_c":"x\\u0000\\ud83d"}}',
  '{"platform":"p","function":"f","timeout_ms":5,"session":{"app.user_id":7},"primary":true}',
  ' {"calls":[{"function":"a"},{"b":-0 , "c":1e400,\t"d":12345678901234567890}],\r\n"e":{}} ',
  '[[],{},"\\"\\\\\\/\\b\\f\\n\\r\\t",true,false,null,-1.5E+7,0.0,"é😀",[[{"a":[{}]}]]]',
]

const WORDS = [
  '\\u',
  '\\u00e9',
  '\\"',
  '\\x',
  '1.',
  '.5',
  '1e',
  '-',
  '00',
  '\u007f',
  '\t',
  '\u00a0',
  ':',
]

/** A value as the walk over its bytes finds it. */
function plain(json: Json): unknown {
  switch (json.kind) {
    case 'string':
      return stringOf(json)
    case 'array':
      return elementsOf(json).map(plain)
    case 'object':
      return Object.fromEntries(
        membersOf(json).map(({ key, value }) => [stringOf(key), plain(value)]),
      )
    default:
      return JSON.parse(jsonOf(json))
  }
}

/** Each range is that of its value alone. */
function checkRanges(json: Json): void {
  if (json.kind !== 'array' && json.kind !== 'object') return
  const children =
    json.kind === 'array'
      ? elementsOf(json)
      : membersOf(json).flatMap((one) => [one.key, one.value])
  if (countOf(json) !== children.length / (json.kind === 'array' ? 1 : 2)) throw new Error('count')
  for (const child of children) {
    const text = jsonOf(child)
    if (text !== text.trim()) throw new Error('The range has white space around it')
    if (JSON.stringify(plain(child)) !== JSON.stringify(JSON.parse(text))) {
      throw new Error(`The range is another's: ${text}`)
    }
    checkRanges(child)
  }
}

/** Scans, and throws an error that is no refusal where JSON.parse has another opinion. */
function scanLikeParse(text: string): Json {
  const bytes = Buffer.from(text)
  let json: Json
  try {
    json = scanNow(bytes)
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error
    const isDeep = error.message.includes('levels deep')
    if (!isDeep && parses(bytes.toString())) throw new Error(`It is JSON: ${error.message}`)
    throw error
  }
  if (!parses(bytes.toString())) throw new Error('It is no JSON')
  return json
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('JSON', () => {
  fuzz('is what JSON.parse takes', mutatedTexts(TEXTS, WORDS), (text) => {
    const json = scanLikeParse(text)
    const parsed = JSON.parse(Buffer.from(text).toString())
    if (JSON.stringify(plain(json)) !== JSON.stringify(parsed)) throw new Error('Not what was sent')
    checkRanges(json)
  })

  fuzz('of any shape', fc.json({ maxDepth: 6 }), (text) => {
    const json = scanLikeParse(text)
    if (JSON.stringify(plain(json)) !== JSON.stringify(JSON.parse(text))) {
      throw new Error('Not what was sent')
    }
    checkRanges(json)
  })

  const sliced = fc.tuple(mutatedTexts(TEXTS, WORDS, 2), fc.integer({ min: 1, max: 40 }))
  fuzz(
    'in slices of any size is the same',
    sliced,
    async ([text, size]) => {
      const bytes = Buffer.from(text)
      const [whole] = await Promise.allSettled([(async () => scanNow(bytes))()])
      const [slices] = await Promise.allSettled([scanInSlices(bytes, size)])
      if (said(whole) !== said(slices)) throw new Error(`${said(whole)}, but ${said(slices)}`)
    },
    { fewer: 4 },
  )
})

function said(outcome: PromiseSettledResult<Json>): string {
  if (outcome.status === 'rejected') return String(outcome.reason)
  const { start, end, kind } = outcome.value
  return `${kind} ${start} ${end}`
}
