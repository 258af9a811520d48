import { useSignal } from '@preact/signals'
import { useCallback, useEffect, useRef } from 'preact/hooks'
import { get, queryOf } from './api.js'

/**
 * What a page shows of an answer.
 * @template [T=any]
 * @typedef {object} Resource
 * @property {T | null} data of the last answer; it stays while another is asked for
 * @property {any} error of the last request, or null
 * @property {boolean} isLoading
 * @property {() => void} reload
 */

/**
 * Asks for JSON when the component is shown, and when path or query change. A reload that is asked for
 * while a request runs is done after it, once.
 * @param {string | null} path null: nothing is asked for
 * @param {Record<string, string | number | undefined>} [query]
 * @param {number} [withinMs] time in which it is answered, if it is not that of most questions
 * @returns {Resource}
 */
export function useResource(path, query = {}, withinMs = undefined) {
  const state = useSignal(/** @type {Omit<Resource, 'reload'>} */ (EMPTY))
  const url = path === null ? null : path + queryOf(query)
  const run = useRef(
    /** @type {{ url: string, stop: AbortController, again: boolean } | null} */ (null),
  )

  const load = useCallback(async () => {
    if (url === null) return
    if (run.current?.url === url) {
      run.current.again = true
      return
    }
    const mine = { url, stop: new AbortController(), again: false }
    run.current?.stop.abort()
    run.current = mine
    do {
      mine.again = false
      state.value = { ...state.value, isLoading: true }
      try {
        const data = await get(url, {}, { signal: mine.stop.signal, withinMs })
        if (run.current !== mine) return
        state.value = { data, error: null, isLoading: false }
      } catch (error) {
        if (run.current !== mine) return
        state.value = { ...state.value, error, isLoading: false }
      }
    } while (mine.again)
    run.current = null
  }, [url])

  useEffect(() => {
    state.value = EMPTY
    load()
    return () => {
      run.current?.stop.abort()
      run.current = null
    }
  }, [url])
  return { ...state.value, reload: load }
}

const EMPTY = { data: null, error: null, isLoading: true }
