import type { Io } from '../io.ts'

/** Returns whether lines of the output can be drawn anew in place. */
export function canRedraw({ isTerminal, env }: Pick<Io, 'isTerminal' | 'env'>): boolean {
  return isTerminal && env.TERM !== 'dumb'
}
