import { setImmediate } from 'node:timers/promises'

/** Bytes that are processed in one turn of the event loop, which takes 1 to 5 ms. */
export const SLICE_BYTES = 128 * 1024

/** Fixed cost of a step, in bytes. */
export const STEP_BYTES = 16

/** Work in steps; it yields where it may pause for the event loop. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Bytes processed by all work since the last turn of the event loop. */
let bytesDone = 0

/** Counts processed bytes, and returns whether the work should yield. */
export function isSliceOver(bytes: number): boolean {
  bytesDone += bytes
  return bytesDone >= SLICE_BYTES
}

/** Runs the work to its end without a pause. */
export function runNow<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    bytesDone = 0
  }
}

/** Runs the work in slices, and yields to the event loop after each. */
export async function runInSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    await nextTurn()
  }
}

/** Yields to the event loop. */
export async function nextTurn(): Promise<void> {
  bytesDone = 0
  await setImmediate()
}
