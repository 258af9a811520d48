import { GatewayError } from '../errors.ts'

/** So many bytes before and behind a place are shown. */
const EXCERPT_BYTES = 20

/** The error of a body that is not JSON from this place on, in bytes. */
export function unexpected(bytes: Buffer, at: number): GatewayError {
  if (at >= bytes.length) return notJson(`it ends too early, at position ${bytes.length}`)
  const from = Math.max(0, at - EXCERPT_BYTES)
  // A character that is cut is left out.
  const excerpt = bytes.toString('utf8', from, at + EXCERPT_BYTES).replaceAll('\ufffd', '')
  const character = String.fromCodePoint(bytes.toString('utf8', at, at + 4).codePointAt(0)!)
  return notJson(`unexpected character at position ${at}: '${character}', "${excerpt}"`)
}

export function tooDeep(levels: number): GatewayError {
  return new GatewayError('invalid_request', `The body is nested more than ${levels} levels deep`)
}

function notJson(why: string): GatewayError {
  return new GatewayError('invalid_request', `The body is not JSON: ${why}`)
}
