import { describe, expect, test } from 'vitest'
import { ofNotice, takeNotice } from '../../../../lib/postgres/session/notices.ts'

/** The body of a NoticeResponse. */
function body(fields: Record<string, string>): Buffer {
  const text = Object.entries(fields).map(([type, value]) => `${type}${value}\0`)
  return Buffer.from(`${text.join('')}\0`)
}

const take = (fields: Record<string, string>) => {
  const bytes = body(fields)
  takeNotice(undefined, bytes, 0, bytes.length)
}

// As PostgreSQL 15 sends it; the texts depend on lc_messages.
const CANCELED = {
  S: 'WARNUNG',
  V: 'WARNING',
  C: '01000',
  M: 'storniere Warten auf synchrone Replikation wegen Benutzeraufforderung',
  F: 'syncrep.c',
  L: '295',
  R: 'SyncRepWaitForLSN',
}

describe('a notice', () => {
  test('that a commit may be on no standby ends the session, in any language', () => {
    expect(() => take(CANCELED)).toThrow(
      expect.objectContaining({ code: 'COMMIT_UNREPLICATED' }) as Error,
    )
  })

  test('that a function raises with its words does not', () => {
    const raised = { ...CANCELED, M: 'RSyncRepWaitForLSN', R: 'exec_stmt_raise' }
    expect(() => take(raised)).not.toThrow()
  })

  test('is read where it is short', () => {
    expect(ofNotice(undefined, 400)).toBe('take')
    expect(ofNotice(undefined, 100_000)).toBe('drop')
  })
})
