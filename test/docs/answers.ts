/** Stands for any value where a page writes a bare `…`. */
const ANY = '\u0000any'
/** Stands for the members or elements that a page leaves out. */
const MORE = '\u0000more'

/** Members whose values differ from run to run: only their types are compared. */
const VARIABLE = /(_ms|_mb|_bytes|_at|_seconds|^time)$/

type Json = unknown

/**
 * The JSON values of a text, one behind the other with or without white space between.
 * A page writes `…` for a value, for the rest of a list, or within a string.
 *
 * @throws where the text is not JSON
 */
export function readValues(text: string): Json[] {
  const values: Json[] = []
  const stack: string[] = []
  let current = ''
  for (const [token] of text.matchAll(/"(?:\\.|[^"\\])*"|…|[[\]{}]|[^"…[\]{}]+/gs)) {
    if (token === '[' || token === '{') stack.push(token)
    if (token === ']' || token === '}') stack.pop()
    current += token === '…' ? ellipsis(current, stack.at(-1)) : token
    if (stack.length === 0 && current.trim() !== '') {
      values.push(JSON.parse(current))
      current = ''
    }
  }
  if (stack.length > 0) throw new Error(`Incomplete JSON: ${text}`)
  return values
}

/** What JSON has in the place of a bare `…` behind `before`. */
function ellipsis(before: string, bracket: string | undefined): string {
  if (/:\s*$/.test(before)) return JSON.stringify(ANY)
  return bracket === '{' ? `${JSON.stringify(MORE)}:true` : JSON.stringify(MORE)
}

/** Where and how a value differs from what a page shows; undefined: it does not. */
export function difference(shown: Json, actual: Json, path = '$'): string | undefined {
  if (shown === ANY) return undefined
  const unlike = `${path}: the page shows ${JSON.stringify(shown)}, the answer has ${JSON.stringify(actual)}`
  if (typeof shown === 'string' && typeof actual === 'string') {
    return fits(shown, actual) ? undefined : unlike
  }
  if (Array.isArray(shown) && Array.isArray(actual)) return arrayDifference(shown, actual, path)
  if (isObject(shown) && isObject(actual)) return objectDifference(shown, actual, path)
  return Object.is(shown, actual) ? undefined : unlike
}

function arrayDifference(shown: Json[], actual: Json[], path: string): string | undefined {
  const isOpen = shown.at(-1) === MORE
  const elements = isOpen ? shown.slice(0, -1) : shown
  if (isOpen ? actual.length < elements.length : actual.length !== elements.length) {
    return `${path}: the page shows ${elements.length} elements, the answer has ${JSON.stringify(actual)}`
  }
  return first(elements.map((one, i) => difference(one, actual[i], `${path}[${i}]`)))
}

function objectDifference(
  shown: Record<string, Json>,
  actual: Record<string, Json>,
  path: string,
): string | undefined {
  const { [MORE]: isOpen, ...members } = shown
  const unknown = Object.keys(actual).filter((name) => !(name in members))
  if (!isOpen && unknown.length > 0) return `${path}: the page does not show ${unknown.join(', ')}`
  return first(
    Object.entries(members).map(([name, value]) => {
      const where = `${path}.${name}`
      if (!(name in actual)) return `${where}: the answer does not have it`
      const sameType = typeof value === typeof actual[name] && value !== null
      if (VARIABLE.test(name) && sameType) return undefined
      return difference(value, actual[name], where)
    }),
  )
}

/** Whether a text is what a page shows, where `…` stands for any characters. */
export function fits(shown: string, actual: string): boolean {
  const pattern = shown.split('…').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
  return new RegExp(`^${pattern.join('.*')}$`, 's').test(actual)
}

const isObject = (value: Json): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const first = (differences: (string | undefined)[]) => differences.find((one) => one !== undefined)
