import { HTTPResponse } from 'h3'
import { mapInSlices, SLICE } from '../../common/in-slices.ts'
import { cutTexts, GatewayError } from '../../errors.ts'

/** Characters that are encoded at once. */
const CHUNK = 16_384

/** Whether an object has an array so long that its JSON is written in slices. */
export function isLong(value: object): boolean {
  const fields = value instanceof GatewayError ? value.details : value
  return Object.values(fields).some((field) => Array.isArray(field) && field.length > SLICE)
}

/**
 * Returns the JSON of an object or error, as JSON.stringify does. Writes the elements of its arrays
 * in slices, so that 10,000 of them do not block the event loop.
 */
export async function jsonInSlices(value: object): Promise<string> {
  if (!isLong(value)) return JSON.stringify(value)
  if (!(value instanceof GatewayError)) return sliced(value, (field) => field)
  return sliced({ error: value.code, message: value.message, ...value.details }, cutTexts)
}

/**
 * As `jsonInSlices`, but returns the bytes, which are made in slices too: to put a text of megabytes
 * together and to encode it takes longer than any slice.
 */
export async function jsonBytesInSlices(value: object): Promise<Buffer> {
  if (!isLong(value) || value instanceof GatewayError) return Buffer.from(await jsonInSlices(value))
  const parts: Buffer[] = []
  let text = ''
  const write = (more: string) => {
    text += more
    if (text.length < CHUNK) return
    parts.push(Buffer.from(text))
    text = ''
  }
  let before = '{'
  for (const [name, field] of Object.entries(value)) {
    const start = `${before}${JSON.stringify(name)}:`
    if (Array.isArray(field)) {
      write(`${start}[`)
      let comma = ''
      await mapInSlices(field, (one) => {
        write(`${comma}${textOf(one) ?? 'null'}`)
        comma = ','
      })
      write(']')
    } else {
      const text = textOf(field)
      if (text === undefined) continue
      write(start + text)
    }
    before = ','
  }
  write(before === '{' ? '{}' : '}')
  parts.push(Buffer.from(text))
  return Buffer.concat(parts)
}

/** Returns an answer whose JSON is written in slices if it is long; else the value itself. */
export async function answerInSlices(value: object): Promise<object> {
  if (!isLong(value)) return value
  const bytes = await jsonBytesInSlices(value)
  return new HTTPResponse(bytes as Uint8Array<ArrayBuffer>, {
    headers: { 'content-type': 'application/json; charset=utf-8' },
  })
}

/** `prepare` is applied to each field, or to each element of an array. */
async function sliced(value: object, prepare: (value: unknown) => unknown): Promise<string> {
  const fields: string[] = []
  for (const [name, field] of Object.entries(value)) {
    const text = Array.isArray(field) ? await arrayText(field, prepare) : textOf(prepare(field))
    if (text !== undefined) fields.push(`${JSON.stringify(name)}:${text}`)
  }
  return `{${fields.join(',')}}`
}

async function arrayText(values: unknown[], prepare: (value: unknown) => unknown): Promise<string> {
  const texts = await mapInSlices(values, (one) => textOf(prepare(one)) ?? 'null')
  return `[${texts.join(',')}]`
}

/** Returns undefined for values without JSON, which the type of JSON.stringify does not tell. */
function textOf(value: unknown): string | undefined {
  return JSON.stringify(value)
}
