/** The longest time, in milliseconds, that the event loop did not have its turn meanwhile. */
export async function longestStall(work: () => unknown): Promise<number> {
  let longest = 0
  let last = performance.now()
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  try {
    await new Promise((resolve) => setImmediate(resolve))
    last = performance.now()
    await work()
    look()
  } finally {
    clearInterval(timer)
  }
  return longest
}
