import { expect, test } from 'vitest'
import { retryAfterMs } from '../../../lib/common/retry-after.ts'

test('Retry-After is seconds, or a date in each form of HTTP', () => {
  expect(retryAfterMs('120')).toBe(120_000)
  expect(retryAfterMs('0')).toBe(0)
  const inAnHour = new Date(Date.now() + 3_600_000)
  const utc = inAnHour.toUTCString()
  const [day, date, month, year, time] = utc.replace(',', '').split(' ') as string[]
  for (const text of [
    utc,
    `${inAnHour.toLocaleDateString('en', { weekday: 'long', timeZone: 'UTC' })}, ${date}-${month}-${year!.slice(2)} ${time} GMT`,
    `${day} ${month} ${date!.replace(/^0/, ' ')} ${time} ${year}`,
  ]) {
    const ms = retryAfterMs(text)!
    expect(ms, text).toBeGreaterThan(3_590_000)
    expect(ms, text).toBeLessThanOrEqual(3_600_000)
  }
  expect(retryAfterMs('Sun, 06 Nov 1994 08:49:37 GMT')).toBe(0)
  for (const text of [
    undefined,
    null,
    '',
    '-5',
    '1.5',
    'soon',
    'Someday, soon GMT',
    '2199-01-01',
  ]) {
    expect(retryAfterMs(text), String(text)).toBeUndefined()
  }
})
