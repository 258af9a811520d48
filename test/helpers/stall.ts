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
