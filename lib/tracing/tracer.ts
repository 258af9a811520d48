import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../errors.ts'
import { newSpanId, newTraceId, readParent } from './context.ts'
import { type EndedSpan, INTERNAL } from './otlp.ts'
import { type RequestFacts, spansOfRequest } from './request-spans.ts'
import type { Sampler } from './sampler.ts'
import type { Attributes, RequestTrace, Scope, ServerAddress, Span } from './scope.ts'

/** Makes the spans of this gateway. */
export class Tracer {
  readonly #sampler: Sampler
  readonly #add: (span: EndedSpan) => void
  readonly #server: ServerAddress

  /** @param add takes spans that have ended */
  constructor(sampler: Sampler, server: ServerAddress, add: (span: EndedSpan) => void) {
    this.#sampler = sampler
    this.#server = server
    this.#add = add
  }

  /** Begins the span of a request, in the trace of its `traceparent` or in a new one. */
  begin(headers: IncomingHttpHeaders): RequestTrace {
    const parent = readParent(headers.traceparent, headers.tracestate)
    const traceId = parent?.traceId ?? newTraceId()
    const spanId = newSpanId()
    const isRecorded = this.#sampler(traceId, parent)
    const context = { traceId, spanId, traceState: parent?.traceState, add: this.#add }
    return { traceId, spanId, parent, scope: isRecorded ? new SpanScope(context) : undefined }
  }

  /** Ends the span of a request that is recorded, and makes those of its phases. */
  end(trace: RequestTrace, facts: RequestFacts): void {
    for (const span of spansOfRequest(trace, facts, this.#server)) this.#add(span)
  }
}

interface Context {
  traceId: string
  spanId: string
  traceState: string | undefined
  add: (span: EndedSpan) => void
}

class SpanScope implements Scope {
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  get traceId(): string {
    return this.#context.traceId
  }

  begin(name: string, attributes: Attributes = {}): Span {
    return new RunningSpan(this.#context, name, attributes)
  }
}

class RunningSpan extends SpanScope implements Span {
  readonly #span: EndedSpan
  readonly #add: Context['add']
  #hasEnded = false

  constructor(parent: Context, name: string, attributes: Attributes) {
    const spanId = newSpanId()
    super({ ...parent, spanId })
    const { traceId, traceState, add } = parent
    this.#add = add
    this.#span = {
      traceId,
      spanId,
      parentId: parent.spanId,
      isParentRemote: false,
      traceState,
      name,
      kind: INTERNAL,
      startedAt: performance.now(),
      endedAt: 0,
      attributes: { ...attributes },
      failure: undefined,
    }
  }

  set(attributes: Attributes): void {
    Object.assign(this.#span.attributes, attributes)
  }

  end(error?: unknown): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#span.endedAt = performance.now()
    if (error !== undefined) {
      const { type, sqlstate, message } = describeError(error)
      this.set({ 'error.type': type, 'db.response.status_code': sqlstate })
      this.#span.failure = message
    }
    this.#add(this.#span)
  }
}

/** What a span says of an error: its code, never values, which PostgreSQL's messages may have. */
function describeError(error: unknown) {
  if (error instanceof GatewayError) {
    const { sqlstate } = error.details
    return {
      type: error.code,
      sqlstate: typeof sqlstate === 'string' ? sqlstate : undefined,
      message: error.code,
    }
  }
  const { name } = error as Error
  const { code } = error as NodeJS.ErrnoException
  return { type: code ?? name, sqlstate: undefined, message: code ?? name }
}
