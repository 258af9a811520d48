import { expect, test } from 'vitest'
import { newSpanId, newTraceId, readParent } from '../../../lib/tracing/context.ts'
import { createSampler } from '../../../lib/tracing/sampler.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'

test.each([
  [`00-${TRACE}-${SPAN}-01`, true],
  [`00-${TRACE}-${SPAN}-00`, false],
  [`00-${TRACE}-${SPAN}-03`, true],
  [`01-${TRACE}-${SPAN}-01`, true],
  [`cc-${TRACE}-${SPAN}-01-what-will-come`, true],
])('traceparent %s is taken, sampled: %s', (header, isSampled) => {
  expect(readParent(header, 'a=1,b=2')).toEqual({
    traceId: TRACE,
    spanId: SPAN,
    isSampled,
    traceState: 'a=1,b=2',
  })
})

test.each([
  undefined,
  '',
  'x',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `ff-${TRACE}-${SPAN}-01`,
  `cc-${TRACE}-${SPAN}-01.more`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE}-${SPAN}-1`,
  `00-${TRACE}-${SPAN}-0g`,
  // Of a request with two headers, as Node.js joins them.
  `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  'x'.repeat(10_000),
])('traceparent %s begins a trace', (header) => {
  expect(readParent(header, undefined)).toBeUndefined()
})

test('a tracestate that is too long, or no text, is left out', () => {
  const stateOf = (state: string) => readParent(`00-${TRACE}-${SPAN}-01`, state)!.traceState
  expect(stateOf('a='.padEnd(513, 'x'))).toBeUndefined()
  expect(stateOf('a=\u0001')).toBeUndefined()
})

test('ids have their length and are not the same', () => {
  const traces = Array.from({ length: 2000 }, newTraceId)
  const spans = Array.from({ length: 2000 }, newSpanId)
  expect(new Set(traces).size).toBe(2000)
  expect(new Set(spans).size).toBe(2000)
  expect(traces.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
  expect(spans.every((id) => /^[0-9a-f]{16}$/.test(id))).toBe(true)
})

test('samplers do as their names say', () => {
  const parent = (isSampled: boolean) => ({
    traceId: TRACE,
    spanId: SPAN,
    isSampled,
    traceState: undefined,
  })
  const asked = (name: string, ratio = 1) => {
    const sampler = createSampler(name, ratio)
    return [undefined, parent(true), parent(false)].map((one) => sampler(TRACE, one))
  }
  expect(asked('always_on')).toEqual([true, true, true])
  expect(asked('always_off')).toEqual([false, false, false])
  expect(asked('parentbased_always_on')).toEqual([true, true, false])
  expect(asked('parentbased_always_off')).toEqual([false, true, false])
  expect(asked('parentbased_traceidratio', 0)).toEqual([false, true, false])
  expect(asked('traceidratio', 1)).toEqual([true, true, true])
  expect(asked('traceidratio', 0)).toEqual([false, false, false])
  const tenth = createSampler('traceidratio', 0.1)
  const taken = Array.from({ length: 20_000 }, newTraceId).filter((id) => tenth(id, undefined))
  expect(taken.length).toBeGreaterThan(1600)
  expect(taken.length).toBeLessThan(2400)
})
