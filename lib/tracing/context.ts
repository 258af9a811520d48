import { randomFillSync } from 'node:crypto'

/** What a request says of the trace that it belongs to (W3C Trace Context). */
export interface ParentContext {
  traceId: string
  spanId: string
  isSampled: boolean
  /** The header `tracestate`, handed on as it is. */
  traceState: string | undefined
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/

const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)

/** Longest `tracestate` that is handed on; the specification asks for 512 characters at least. */
const MAX_TRACE_STATE = 512

/**
 * Reads `traceparent` and `tracestate`. Returns undefined for a header that is not valid: the request
 * then begins a trace, as one without the header does.
 */
export function readParent(
  traceparent: string | string[] | undefined,
  tracestate: string | string[] | undefined,
): ParentContext | undefined {
  if (typeof traceparent !== 'string') return undefined
  const [, version, traceId, spanId, flags, more] = TRACEPARENT.exec(traceparent.trim()) ?? []
  if (version === undefined || version === 'ff') return undefined
  // Later versions may have more behind the flags.
  if (version === '00' && more !== undefined) return undefined
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined
  const state = Array.isArray(tracestate) ? tracestate.join(',') : tracestate
  const isState = state !== undefined && state.length <= MAX_TRACE_STATE && /^[ -~]+$/.test(state)
  return {
    traceId: traceId!,
    spanId: spanId!,
    isSampled: (Number.parseInt(flags!, 16) & 1) === 1,
    traceState: isState ? state : undefined,
  }
}

/** Random bytes in stock: one call of the system for many ids. */
const stock = Buffer.alloc(4096)
let used = stock.length

function randomHex(bytes: number, none: string): string {
  for (;;) {
    if (used + bytes > stock.length) {
      randomFillSync(stock)
      used = 0
    }
    const id = stock.toString('hex', used, used + bytes)
    used += bytes
    if (id !== none) return id
  }
}

export function newTraceId(): string {
  return randomHex(16, NO_TRACE)
}

export function newSpanId(): string {
  return randomHex(8, NO_SPAN)
}
