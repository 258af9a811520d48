import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SlowReader } from '../../../../lib/http/answer/slow-reader.ts'

const PATIENCE_MS = 30_000

let taken = 0
let cutAt: number | undefined

beforeEach(() => {
  vi.useFakeTimers({ now: 0 })
  taken = 0
  cutAt = undefined
})
afterEach(() => {
  vi.useRealTimers()
})

function newReader(): SlowReader {
  const startedAt = performance.now()
  return new SlowReader(
    PATIENCE_MS,
    () => taken,
    () => {
      cutAt = performance.now() - startedAt
    },
  )
}

/** Takes so many bytes every so often, for at most an hour; the gateway waits all the time. */
function read(reader: SlowReader, bytes: number, everyMs: number): void {
  for (let ms = 0; ms < 3600_000 && cutAt === undefined; ms += everyMs) {
    reader.wait()
    vi.advanceTimersByTime(everyMs)
    taken += bytes
    reader.resume()
  }
  reader.end()
}

describe('a client', () => {
  test('that takes nothing is cut after the time it has', () => {
    newReader().wait()
    vi.advanceTimersByTime(2 * PATIENCE_MS)
    expect(cutAt).toBeGreaterThanOrEqual(PATIENCE_MS)
    expect(cutAt).toBeLessThan(1.2 * PATIENCE_MS)
  })

  test('that takes a little now and then is cut: 4 KB every 10 s', () => {
    read(newReader(), 4000, 10_000)
    expect(cutAt).toBeGreaterThan(PATIENCE_MS)
    expect(cutAt).toBeLessThan(2 * PATIENCE_MS)
  })

  test('that takes half of what it should is cut after twice the time', () => {
    read(newReader(), 500, 1000)
    expect(cutAt).toBeGreaterThanOrEqual(1.9 * PATIENCE_MS)
    expect(cutAt).toBeLessThan(2.2 * PATIENCE_MS)
  })

  test.each([
    [1000, 1000],
    [16_384, 15_000],
    [2_000_000, 20_000],
  ])('that takes %i bytes every %i ms is never cut', (bytes, everyMs) => {
    read(newReader(), bytes, everyMs)
    expect(cutAt).toBeUndefined()
  })

  test('that was quick at first has no more time for that', () => {
    const reader = newReader()
    for (let i = 0; i < 1000; i++) {
      reader.wait()
      taken += 1_000_000
      reader.resume()
    }
    reader.wait()
    vi.advanceTimersByTime(2 * PATIENCE_MS)
    expect(cutAt).toBeLessThan(1.2 * PATIENCE_MS)
  })

  test('that is not waited for is not cut, however long PostgreSQL takes', () => {
    const reader = newReader()
    reader.wait()
    reader.resume()
    vi.advanceTimersByTime(100 * PATIENCE_MS)
    expect(cutAt).toBeUndefined()
    reader.end()
  })
})

test('its timer ends with it', () => {
  const reader = newReader()
  for (let i = 0; i < 10; i++) {
    reader.wait()
    reader.resume()
  }
  expect(vi.getTimerCount()).toBe(1)
  reader.end()
  expect(vi.getTimerCount()).toBe(0)
})

test('a slice is so small that a client which is fast enough takes it in time', () => {
  const sliceFor = (ms: number) =>
    new SlowReader(
      ms,
      () => 0,
      () => {},
    ).sliceBytes
  expect([sliceFor(1000), sliceFor(10_000), sliceFor(3600_000)]).toEqual([1024, 5000, 16_384])
})
