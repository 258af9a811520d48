import type { ParentContext } from './context.ts'

/** Returns whether the spans of a trace are recorded. */
export type Sampler = (traceId: string, parent: ParentContext | undefined) => boolean

/** The last 56 bits of a trace id are random (W3C Trace Context, level 2); 52 of them are compared. */
const DIGITS = 13
const RANGE = 16 ** DIGITS

/**
 * Returns the sampler of this name in OTEL_TRACES_SAMPLER. `parentbased_…` does as the caller does
 * where there is one. All services that use the same ratio record the same traces.
 */
export function createSampler(name: string, ratio: number): Sampler {
  const root = rootSampler(name.replace('parentbased_', ''), ratio)
  if (!name.startsWith('parentbased_')) return root
  return (traceId, parent) => parent?.isSampled ?? root(traceId, undefined)
}

function rootSampler(name: string, ratio: number): Sampler {
  if (name === 'always_off') return () => false
  if (name === 'traceidratio') {
    const limit = ratio * RANGE
    return (traceId) => Number.parseInt(traceId.slice(-DIGITS), 16) < limit
  }
  return () => true
}
