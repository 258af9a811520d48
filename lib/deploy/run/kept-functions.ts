import { GatewayError } from '../../errors.ts'
import type { After } from '../objects/after.ts'
import { classOf } from '../objects/object.ts'
import type { CodeState } from '../objects/state.ts'

const AMBIGUOUS_FUNCTION = '42725'

/** What a deploy that drops no function says of those that another one had to take the place of. */
export function remadeWarnings({ drop }: CodeState, { found }: After): string[] {
  const there = new Set([...found.byKey.values()].map(({ identity }) => identity))
  return [...drop.values()].flatMap(({ kind, identity }) => {
    if (classOf(kind) !== 'routine' || !there.has(identity)) return []
    const what = `${kind.charAt(0).toUpperCase()}${kind.slice(1)} ${identity}`
    return [
      `${what} has another result, or other names or defaults of arguments, now: it was dropped and made again`,
    ]
  })
}

/** With what to do where a file names a function without types, and another signature of it stays. */
export function withKeptHint(failure: unknown): unknown {
  if (!(failure instanceof GatewayError) || failure.details.sqlstate !== AMBIGUOUS_FUNCTION) {
    return failure
  }
  const hint =
    'Functions of other signatures that earlier archives made stay: name the types of the arguments, ' +
    'or drop the function that is not needed in a migration'
  return new GatewayError(failure.code, failure.message, { ...failure.details, hint })
}
