import { GatewayError } from '../errors.ts'

/** Bytes that the error shows before and after the position. */
const EXCERPT_BYTES = 20

/**
 * Returns the error for a body that is not JSON.
 * @param at position of the first invalid byte
 */
export function unexpected(bytes: Buffer, at: number): GatewayError {
  if (at >= bytes.length) return notJson(`it ends early, at position ${bytes.length}`)
  const from = Math.max(0, at - EXCERPT_BYTES)
  // Leave out a character that the excerpt cuts in two.
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
