import * as pg from 'libpg-query'

/** Whether the parser has ended in the middle of a text: its memory is as it was there. */
let spoiled = false

/**
 * Whether the parser may no longer be used. A text that is too deep or too long for it leaves its stack
 * where it was: some dozens of them, and each text fails or is read wrongly.
 */
export function isSpoiled(): boolean {
  return spoiled
}

/** Whether an error leaves the parser such, which a syntax error does not. */
export function spoils(error: unknown): boolean {
  // A trap of WebAssembly is a RuntimeError, which Node.js's types lack.
  const isTrap = error instanceof Error && error.constructor.name === 'RuntimeError'
  return isTrap || error instanceof RangeError
}

/** Whether an error says that expressions are nested more deeply than the stack allows. */
export function isTooDeep(error: unknown): boolean {
  return error instanceof RangeError && error.message.includes('call stack')
}

export const parseSync = watched(pg.parseSync)
export const parsePlPgSQLSync = watched(pg.parsePlPgSQLSync)
export const scanSync = watched(pg.scanSync)

function watched<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text)
    } catch (error) {
      if (spoils(error)) spoiled = true
      throw error
    }
  }
}
