import type { Io } from '../io.ts'
import { canRedraw } from './redraw.ts'
import { printable } from './style.ts'

/**
 * Shows on a terminal what is being waited for, while `work` runs.
 * @param io undefined: nothing is shown
 */
export async function busy<T>(
  what: string,
  io: Io | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (!io || !canRedraw(io)) return work()
  io.out(`${printable(what)} …`)
  try {
    return await work()
  } finally {
    io.out('\r\u001b[K')
  }
}
