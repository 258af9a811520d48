import { retryAfterMs } from '../common/retry-after.ts'
import type { Delivery } from './alert.ts'
import { SIGNATURE_HEADER, sign } from './signature.ts'

/** Where alerts are sent. */
export interface Target {
  url: URL
  /** Undefined: deliveries have no signature. */
  secret: string | undefined
}

/** Outcome of one try to deliver an alert. */
export type PostOutcome =
  | { is: 'delivered' }
  /** The receiver will not take this alert. */
  | { is: 'refused'; why: string }
  /** A later try may succeed. */
  | { is: 'failed'; why: string; retryAfterMs: number | undefined }

const ANSWER_LIMIT_MS = 10_000

/** Statuses below 500 after which another try may succeed (RFC 9110, RFC 6585). */
const TRY_AGAIN = new Set([408, 425, 429])

/** Sends an alert once. Follows no redirect, and reads nothing of the answer but its head. */
export async function post(
  { url, secret }: Target,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<PostOutcome> {
  const body = JSON.stringify(delivery)
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    'user-agent': `database-gateway/${delivery.gateway.version}`,
    'x-gateway-event': delivery.type,
    'x-gateway-delivery': delivery.id,
  }
  if (secret !== undefined) headers[SIGNATURE_HEADER] = sign(body, secret)
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body,
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_LIMIT_MS)]),
    })
    await response.body?.cancel().catch(() => {})
    return outcomeOf(response)
  } catch (error) {
    return { is: 'failed', why: reason(error), retryAfterMs: undefined }
  }
}

function outcomeOf({ status, headers, ok }: Response): PostOutcome {
  if (ok) return { is: 'delivered' }
  const why = status >= 300 && status < 400 ? `a redirect (${status})` : `status ${status}`
  if (status < 500 && !TRY_AGAIN.has(status)) return { is: 'refused', why }
  return { is: 'failed', why, retryAfterMs: retryAfterMs(headers.get('retry-after')) }
}

/** Never the message: it may contain the URL. */
function reason(error: unknown): string {
  const { name, cause } = error as Error & { cause?: { code?: unknown } }
  if (name === 'TimeoutError') return `no answer within ${ANSWER_LIMIT_MS / 1000} s`
  return typeof cause?.code === 'string' ? cause.code : name
}
