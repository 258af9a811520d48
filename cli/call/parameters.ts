import { UsageError } from '../command.ts'

/** `name=value`, with a name that an argument of a function can have without quotes. */
export const NAMED = /^([a-z_][a-z0-9_]*)=(.*)$/s

/**
 * Returns the JSON of a call's parameters: an object if all arguments are `name=value`, else an array.
 * The declared type of a parameter says how PostgreSQL reads it.
 * @param given parameters as JSON, in the place of arguments
 * @throws {UsageError} for both at once, some named and others not, and JSON that is neither
 */
export function parameters(args: string[], given: string | undefined): string {
  if (given !== undefined) {
    if (args.length > 0) throw new UsageError('Arguments and --params exclude each other')
    return checked(given)
  }
  const named = args.map((arg) => NAMED.exec(arg))
  const count = named.filter(Boolean).length
  if (count === 0 || args.length === 0) return `[${args.map(jsonOf).join(',')}]`
  if (count < args.length) {
    throw new UsageError(
      'Some arguments are name=value and others are not; give all by name or none, or --params with JSON',
    )
  }
  const names = named.map((match) => match![1]!)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice) throw new UsageError(`${twice} is given twice`)
  return `{${named.map((match) => `"${match![1]}":${jsonOf(match![2]!)}`).join(',')}}`
}

/**
 * Returns the JSON of one argument: what is JSON and no text stays as it is written, with all digits;
 * everything else is text.
 */
function jsonOf(text: string): string {
  if (!/^(?:true|false|null|-?\d|[[{])/.test(text)) return JSON.stringify(text)
  try {
    JSON.parse(text)
    return text
  } catch {
    return JSON.stringify(text)
  }
}

function checked(json: string): string {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new UsageError(`--params is not JSON: ${(error as Error).message}`)
  }
  if (typeof value === 'object' && value !== null) return json
  throw new UsageError('--params must be a JSON array or object')
}
