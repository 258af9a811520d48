import { useEffect } from 'preact/hooks'

/**
 * Calls `work` again and again while somebody sees the page, and at once when it is seen again.
 * @param {() => void} work
 * @param {number} everyMs
 * @param {boolean} [isOn]
 */
export function usePolling(work, everyMs, isOn = true) {
  useEffect(() => {
    if (!isOn) return undefined
    const run = () => {
      if (!document.hidden) work()
    }
    const timer = setInterval(run, everyMs)
    document.addEventListener('visibilitychange', run)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', run)
    }
  }, [work, everyMs, isOn])
}
