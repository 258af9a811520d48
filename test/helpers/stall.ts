/** How often work that seems to block the event loop is done. */
const TRIES = 5

/**
 * Returns the longest time, in milliseconds of this process's CPU time, for which `work` blocked
 * the event loop: that of the try that blocked it least. Tries end once one is below `limitMs`. The
 * CPU time of other processes does not count; that of threads which collect garbage or compile
 * beside a turn does, and differs from try to try.
 */
export async function leastStall(work: () => unknown, limitMs: number): Promise<number> {
  let least = Infinity
  for (let i = 0; i < TRIES && least >= limitMs; i++) {
    least = Math.min(least, await longestStall(work))
  }
  return least
}

/**
 * Returns the longest time, in milliseconds of this process's CPU time, for which `work` blocked
 * the event loop. The CPU time of other processes does not count.
 */
export async function longestStall(work: () => unknown): Promise<number> {
  let longest = 0
  let last = process.cpuUsage()
  const look = () => {
    const { user, system } = process.cpuUsage(last)
    longest = Math.max(longest, (user + system) / 1000)
    last = process.cpuUsage()
  }
  let isOver = false
  const watch = () => {
    look()
    if (!isOver) setImmediate(watch)
  }
  setImmediate(watch)
  try {
    await work()
    look()
  } finally {
    isOver = true
  }
  return longest
}
