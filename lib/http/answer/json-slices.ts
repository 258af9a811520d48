import { HTTPResponse } from 'h3'
import { mapInSlices, SLICE } from '../../common/in-slices.ts'
import { cutTexts, GatewayError } from '../../errors.ts'

/** Whether an object has an array of which JSON is better written in slices. */
export function isLong(value: object): boolean {
  const fields = value instanceof GatewayError ? value.details : value
  return Object.values(fields).some((field) => Array.isArray(field) && field.length > SLICE)
}

/**
 * The JSON of an object or an error, as JSON.stringify writes it. The elements of its arrays are
 * written some at a time, so that 10,000 of them do not hold up the event loop.
 */
export async function jsonInSlices(value: object): Promise<string> {
  if (!isLong(value)) return JSON.stringify(value)
  if (!(value instanceof GatewayError)) return sliced(value, (field) => field)
  return sliced({ error: value.code, message: value.message, ...value.details }, cutTexts)
}

/** An answer of JSON that is written in slices where it is long. */
export async function answerInSlices(value: object): Promise<object> {
  if (!isLong(value)) return value
  return new HTTPResponse(await jsonInSlices(value), {
    headers: { 'content-type': 'application/json; charset=utf-8' },
  })
}

/** `prepare` is applied to each field's value, of arrays to each element. */
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

/** Undefined for what is no JSON, whatever its types say. */
function textOf(value: unknown): string | undefined {
  return JSON.stringify(value)
}
