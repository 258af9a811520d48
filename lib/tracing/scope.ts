import type { ParentContext } from './context.ts'

/** Values by the names of OpenTelemetry's semantic conventions; undefined ones are left out. */
export type Attributes = { [name: string]: string | number | boolean | undefined }

/** A place in a trace, below which spans begin. */
export interface Scope {
  /** In hexadecimal, for the log. */
  readonly traceId: string
  begin(name: string, attributes?: Attributes): Span
}

/** A running span. */
export interface Span extends Scope {
  /** Adds attributes. */
  set(attributes: Attributes): void
  /** Ends it; with an error as failed. */
  end(error?: unknown): void
}

/** The span of a request, from its head to its end. */
export interface RequestTrace {
  readonly traceId: string
  readonly spanId: string
  readonly parent: ParentContext | undefined
  /** Undefined if the trace is not recorded. */
  readonly scope: Scope | undefined
}

/** Where PostgreSQL is, for the spans of queries. */
export interface ServerAddress {
  host: string
  port: number
}

const scopes = new WeakMap<object, Scope>()

/** Remembers the scope in which the work for `origin` is done. */
export function setScope(origin: object, scope: Scope): void {
  scopes.set(origin, scope)
}

/** Returns the scope of `setScope`; undefined without tracing. */
export function scopeOfOrigin(origin: object): Scope | undefined {
  return scopes.get(origin)
}

/** Runs work as a span below `scope`, or as it is without one. */
export async function traced<T>(
  scope: Scope | undefined,
  name: string,
  attributes: Attributes,
  work: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  if (!scope) return work(undefined)
  const span = scope.begin(name, attributes)
  try {
    const result = await work(span)
    span.end()
    return result
  } catch (error) {
    span.end(error)
    throw error
  }
}
