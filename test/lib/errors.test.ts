import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../lib/errors.ts'
import { sqlstateStatus } from '../../lib/postgres/errors.ts'

describe('a GatewayError', () => {
  test('is an Error without a stack trace (B13), and leaves that of others alone', () => {
    const error = new GatewayError('query_failed', 'No')
    expect(error).toBeInstanceOf(Error)
    expect(error.stack).not.toContain('\n')
    expect(new Error('other').stack).toContain('\n')
  })

  test('C10: no text of its answer is longer than 1 KB, and none is cut within a character', () => {
    const long = 'ä€😀'.repeat(1000)
    const error = new GatewayError('query_failed', long, {
      cause: long,
      detail: 'x'.repeat(1024),
      hint: 'x'.repeat(1025),
      line: 7,
      functions: [long, 'f()'],
      results: [{ error: { cause: long } }],
    })
    const body = JSON.parse(JSON.stringify(error))
    const texts: string[] = []
    JSON.stringify(body, (_, value) => {
      if (typeof value === 'string') texts.push(value)
      return value
    })
    expect(Math.max(...texts.map((text) => Buffer.byteLength(text)))).toBeLessThanOrEqual(1024)
    expect(Buffer.byteLength(body.cause)).toBeGreaterThan(1015)
    expect(body.cause).toMatch(/^(?:ä€😀)+ä?€?…$/u)
    expect(body.detail).toBe('x'.repeat(1024))
    expect(body.hint).toBe(`${'x'.repeat(1021)}…`)
    expect(body).toMatchObject({ error: 'query_failed', line: 7, functions: [body.cause, 'f()'] })
    // The log has all of it.
    expect(error.message).toBe(long)
  })
})

test.each([
  ['PT400', 400],
  ['PT404', 404],
  ['PT599', 599],
  ['PT204', 500],
  ['PT205', 500],
  ['PT304', 500],
  ['PT200', 500],
  ['PT600', 500],
  ['PTXYZ', 500],
])('C8: %s is %i', (sqlstate, status) => {
  expect(sqlstateStatus(sqlstate)).toBe(status)
})
