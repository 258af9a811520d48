import { useSignal } from '@preact/signals'

/**
 * Runs something once at a time, and keeps the error where it fails.
 * @param {() => unknown} work
 * @returns {{ isRunning: boolean, error: any, run: () => Promise<void> }}
 */
export function useRun(work) {
  const state = useSignal(/** @type {{ isRunning: boolean, error: any }} */ (IDLE))
  const run = async () => {
    if (state.value.isRunning) return
    state.value = { isRunning: true, error: null }
    try {
      await work()
      state.value = IDLE
    } catch (error) {
      state.value = { isRunning: false, error }
    }
  }
  return { ...state.value, run }
}

const IDLE = { isRunning: false, error: null }
