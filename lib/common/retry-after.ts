/** Forms of a date in HTTP (RFC 9110, 5.6.7): each begins with the day of the week. */
const DATE = /^[a-z]{3,9},? .*\d$|^[a-z]{3,9}, .* GMT$/i

/**
 * Returns the milliseconds that a Retry-After header asks for: seconds, or the time until a date, 0 for one
 * that has passed; undefined without the header, or where it is neither.
 */
export function retryAfterMs(header: string | null | undefined): number | undefined {
  if (header == null) return undefined
  if (/^\d+$/.test(header)) return Number(header) * 1000
  if (!DATE.test(header)) return undefined
  // The form of asctime names no zone, and means UTC.
  const time = Date.parse(header.endsWith('GMT') ? header : `${header} GMT`)
  return Number.isNaN(time) ? undefined : Math.max(time - Date.now(), 0)
}
