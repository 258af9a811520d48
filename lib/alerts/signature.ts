import { createHmac } from 'node:crypto'

/** Header of a delivery with its signature. */
export const SIGNATURE_HEADER = 'x-gateway-signature'

/**
 * Returns the signature of a body: `t=<seconds since 1970>,v1=<hexadecimal HMAC-SHA256>`. The HMAC
 * is that of the time, a full stop and the body, so that a delivery cannot be sent again later.
 */
export function sign(body: string, secret: string, now = Date.now()): string {
  const time = Math.floor(now / 1000)
  const digest = createHmac('sha256', secret).update(`${time}.${body}`).digest('hex')
  return `t=${time},v1=${digest}`
}
