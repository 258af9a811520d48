import type { Line } from './fleet/state.ts'
import { count } from './terminal/words.ts'

/** Returns what a deploy has changed in one database besides its seeders, as parts of a sentence. */
export function changesOf(result: Line): (string | false)[] {
  const { migrations_applied: migrations, functions_changed: changed } = result
  const dropped = result.functions_dropped.length
  return [
    migrations > 0 && count(migrations, 'migration'),
    changed > 0 && `${count(changed, 'function')} changed`,
    dropped > 0 && `${count(dropped, 'function')} dropped`,
  ]
}
