import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { test } from 'vitest'
import { GatewayError } from '../../lib/errors.ts'

/** Cases of each parser. */
export const RUNS = Number(process.env.FUZZ_RUNS ?? 2000)

/** Requests through HTTP. */
export const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 1500)

/** The same one gives the same cases. */
export const SEED = Number(process.env.FUZZ_SEED ?? 1)

const SECONDS = Number(process.env.FUZZ_SECS ?? 3600)
const IS_REPORTED = process.env.FUZZ_REPORT !== undefined

/** Longer than that, and other requests have waited for too long. */
const MAX_MS = 1000

const MANY_RUNS = 100_000

/** What code that is compiled meanwhile, and caches that fill up, may take. */
const MAX_GROWTH_BYTES = 16 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

interface Options {
  /** So many times fewer cases, of what takes so much longer. */
  fewer?: number
  /** The errors that are refusals; those of the gateway unless given. */
  isRefusal?: (error: unknown) => boolean
}

/**
 * A test that gives `parse` a great many inputs. It may refuse one; any other error is a failure,
 * and so is one input that takes longer than a second, or, with many inputs, a heap that grows from
 * the first third of them to the last.
 */
export function fuzz<T>(
  what: string,
  inputs: fc.Arbitrary<T>,
  parse: (input: T) => unknown,
  { fewer = 1, isRefusal = isGatewayRefusal }: Options = {},
): void {
  test(`${what} (seed ${SEED})`, async () => {
    const started = performance.now()
    const tally = { runs: 0, refused: 0, slowestMs: 0 }
    const property = fc.asyncProperty(inputs, async (input) => {
      tally.runs++
      let ms = await timeOf(input)
      // Another process may have had the machine; a slow input is slow again.
      if (ms > MAX_MS) ms = await timeOf(input)
      tally.slowestMs = Math.max(tally.slowestMs, ms)
      if (ms > MAX_MS) throw new Error(`It took ${Math.round(ms)} ms`)
    })
    const timeOf = async (input: T) => {
      const from = performance.now()
      try {
        const result = parse(input)
        if (result instanceof Promise) await result
      } catch (error) {
        if (!isRefusal(error)) throw error
        tally.refused++
      }
      return performance.now() - from
    }

    const heaps: number[] = []
    for (const third of [0, 1, 2]) {
      await fc.assert(property, {
        seed: SEED + third,
        numRuns: Math.ceil(RUNS / fewer / 3),
        interruptAfterTimeLimit: (SECONDS * 1000) / 3,
        markInterruptAsFailure: false,
      })
      // Of few cases it says nothing, and takes longer than they do.
      if (RUNS >= MANY_RUNS) heaps.push(heapBytes())
    }
    const growth = (heaps[2] ?? 0) - (heaps[0] ?? 0)
    if (IS_REPORTED) report(what, tally, performance.now() - started, growth)
    if (growth > MAX_GROWTH_BYTES) throw new Error(`The heap grew: ${heaps.join(', ')} bytes`)
  })
}

/** What is in use once the garbage is collected. */
export function heapBytes(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().heapUsed
}

function isGatewayRefusal(error: unknown): boolean {
  return error instanceof GatewayError && error.status >= 400 && error.status < 500
}

function report(
  what: string,
  { runs, refused, slowestMs }: { runs: number; refused: number; slowestMs: number },
  ms: number,
  growth: number,
): void {
  console.log(
    `${what}: ${runs} cases, ${refused} refused, ${(ms / 1000).toFixed(1)} s, slowest ` +
      `${slowestMs.toFixed(1)} ms, heap ${(growth / 1024).toFixed(0)} KiB, seed ${SEED}`,
  )
}
