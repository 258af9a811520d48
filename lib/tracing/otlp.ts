import type { Attributes } from './scope.ts'

/** Numbers of `SpanKind` and of the status in OTLP. */
export const INTERNAL = 1
export const SERVER = 2
export const CLIENT = 3
const ERROR = 2

/** A span that has ended. Times are those of `performance.now()`. */
export interface EndedSpan {
  traceId: string
  spanId: string
  parentId: string | undefined
  /** The parent is in another process. */
  isParentRemote: boolean
  traceState: string | undefined
  name: string
  kind: typeof INTERNAL | typeof SERVER | typeof CLIENT
  startedAt: number
  endedAt: number
  attributes: Attributes
  /** Set if it failed: what failed, for people. */
  failure: string | undefined
}

/** The flag "sampled" of W3C; whether it is known that the parent is remote, and whether it is. */
const SAMPLED = 0x01
const KNOWS_REMOTE = 0x100
const REMOTE = 0x200

/** Returns the body of a request to `/v1/traces` (OTLP, JSON Protobuf Encoding). */
export function toOtlp(spans: EndedSpan[], resource: Attributes, scope: Attributes): string {
  const offsetMs = clockOffset()
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope, spans: spans.map((span) => spanOf(span, offsetMs)) }],
      },
    ],
  })
}

let offset = performance.timeOrigin

/** Milliseconds by which the clocks may differ before the spans follow the system's. */
const MAX_DRIFT_MS = 100

/**
 * Returns what `performance.now()` lacks to the time since 1970. It stays the same, so that spans of
 * one trace in two batches keep their order, until the clock of the system was set.
 */
function clockOffset(): number {
  const current = Date.now() - performance.now()
  if (Math.abs(current - offset) > MAX_DRIFT_MS) offset = current
  return offset
}

function spanOf(span: EndedSpan, offsetMs: number) {
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    traceState: span.traceState,
    parentSpanId: span.parentId,
    flags: SAMPLED | KNOWS_REMOTE | (span.isParentRemote ? REMOTE : 0),
    name: span.name,
    kind: span.kind,
    startTimeUnixNano: nanoseconds(span.startedAt + offsetMs),
    endTimeUnixNano: nanoseconds(Math.max(span.startedAt, span.endedAt) + offsetMs),
    attributes: attributesOf(span.attributes),
    status: span.failure === undefined ? {} : { code: ERROR, message: span.failure },
  }
}

/** Nanoseconds since 1970, as text, from milliseconds, which have microseconds in their fraction. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`
}

function attributesOf(attributes: Attributes) {
  const list = []
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) list.push({ key, value: attributeValue(value) })
  }
  return list
}

function attributeValue(value: string | number | boolean) {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}
