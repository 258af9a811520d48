import { setImmediate } from 'node:timers/promises'

/** As many bytes are worked on in one turn of the event loop, which takes 1 to 5 ms. */
export const SLICE_BYTES = 128 * 1024

/** What a step costs however few bytes it goes over, as bytes. */
export const STEP_BYTES = 16

/** Work that yields where the event loop may have its turn. */
export type Steps<T> = Generator<undefined, T, undefined>

/** How many bytes all of it together has gone over since the event loop had its turn. */
let bytesDone = 0

/** Whether it is time to yield, with so many bytes more. */
export function isSliceOver(bytes: number): boolean {
  bytesDone += bytes
  return bytesDone >= SLICE_BYTES
}

/** Does all of it now. */
export function runNow<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    bytesDone = 0
  }
}

/** Does it in slices, with a turn of the event loop after each. */
export async function runInSlices<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
    await nextTurn()
  }
}

/** Lets the event loop have its turn. */
export async function nextTurn(): Promise<void> {
  bytesDone = 0
  await setImmediate()
}
