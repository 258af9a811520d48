import { upperFirst } from '../../common/upper-first.ts'
import { GatewayError } from '../../errors.ts'
import type { After } from '../objects/after.ts'
import { classOf } from '../objects/object.ts'
import type { CodeState } from '../objects/state.ts'

const AMBIGUOUS_FUNCTION = '42725'

/**
 * Returns warnings, for a deploy that drops no function, about functions that it had to drop and
 * create again.
 */
export function remadeWarnings({ drop }: CodeState, { found }: After): string[] {
  const there = new Set([...found.byKey.values()].map(({ identity }) => identity))
  return [...drop.values()].flatMap(({ kind, identity }) => {
    if (classOf(kind) !== 'routine' || !there.has(identity)) return []
    const what = `${upperFirst(kind)} ${identity}`
    return [
      `${what} was dropped and created again, because its result type or the names or defaults of its arguments changed`,
    ]
  })
}

/**
 * Adds a hint to the error of a file that names a function without argument types while another
 * signature of it was kept.
 */
export function withKeptHint(failure: unknown): unknown {
  if (!(failure instanceof GatewayError) || failure.details.sqlstate !== AMBIGUOUS_FUNCTION) {
    return failure
  }
  const hint =
    'Functions with other signatures from earlier archives are kept: write the argument types, ' +
    'or drop the unneeded function in a migration'
  return new GatewayError(failure.code, failure.message, { ...failure.details, hint })
}
