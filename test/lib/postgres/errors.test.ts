import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { excerpt } from '../../../lib/common/excerpt.ts'
import {
  endsConnection,
  fromPostgres,
  isConnectionLost,
  isPostgresError,
  isQueryCanceled,
  postgresDetails,
} from '../../../lib/postgres/errors.ts'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import type { Session } from '../../../lib/postgres/session/session.ts'
import { connectTo } from '../../helpers/gateway.ts'
import { openSession } from '../../helpers/session.ts'

const sql = connectTo(parseDatabaseUrl(inject('databaseUrl')).database)
let session: Session
beforeAll(async () => {
  session = (await openSession()).session
})
afterAll(() => Promise.all([session.close(), sql.end()]))

/** What both drivers give for a statement that fails. */
async function errorsOf(text: string): Promise<unknown[]> {
  const results = await Promise.allSettled([
    session.run({ text, values: [] }).result,
    sql.unsafe(text),
  ])
  return results.map((result) => (result as PromiseRejectedResult).reason)
}

const raise = (options: string) => `do $$ begin raise exception using ${options}; end $$`

describe('an error has the same details by either driver', () => {
  test.each([
    ['select 1 / 0', { cause: 'division by zero', sqlstate: '22012' }],
    [
      raise(
        `message = 'No', detail = 'D', hint = 'H', schema = 's', table = 't', column = 'c',
         datatype = 'd', constraint = 'n', errcode = '23505'`,
      ),
      {
        cause: 'No | DETAIL: D | HINT: H',
        sqlstate: '23505',
        detail: 'D',
        hint: 'H',
        context: expect.stringContaining('line 1 at RAISE'),
        schema: 's',
        table: 't',
        column: 'c',
        datatype: 'd',
        constraint: 'n',
      },
    ],
    [
      raise(`message = repeat('€', 999), detail = repeat('é', 1000000), hint = 'x'`),
      {
        cause: `${'€'.repeat(340)}… | DETAIL: ${'é'.repeat(510)}… | HINT: x`,
        sqlstate: 'P0001',
        detail: `${'é'.repeat(510)}…`,
        hint: 'x',
        context: expect.any(String),
      },
    ],
  ])('%#', async (text, details) => {
    for (const error of await errorsOf(text)) {
      if (!isPostgresError(error)) throw error
      expect(postgresDetails(error)).toEqual(details)
      expect(fromPostgres(error, 'd')).toMatchObject({ code: 'query_failed' })
      expect(endsConnection(error) || isConnectionLost(error) || isQueryCanceled(error)).toBe(false)
    }
  })

  test('a cancelled query', async () => {
    for (const error of await errorsOf(raise(`errcode = '57014'`))) {
      expect(isQueryCanceled(error)).toBe(true)
    }
  })

  test('the end of the connection', async () => {
    const text = 'select pg_terminate_backend(pg_backend_pid())'
    const { session: ending } = await openSession()
    const error = await ending.run({ text, values: [] }).result.catch((reason) => reason)
    expect([endsConnection(error), isConnectionLost(error)]).toEqual([true, true])
    expect(fromPostgres(error, 'd')).toMatchObject({ code: 'connection_failed' })
  })
})

test('ServerError has PostgreSQL’s fields, and no stack', async () => {
  const [error] = await errorsOf('select nothing')
  expect(error).toMatchObject({
    severity: 'ERROR',
    code: '42703',
    message: 'column "nothing" does not exist',
    position: '8',
    routine: 'errorMissingColumn',
  })
  expect((error as Error).stack).not.toContain('\n')
})

test.each([
  ['x'.repeat(1024), 1024],
  ['x'.repeat(1025), 1024],
  [`x${'é'.repeat(512)}`, 1024],
  ['€'.repeat(342), 1023],
  ['😀'.repeat(257), 1023],
])('an excerpt is cut at a character: %#', (text, bytes) => {
  const cut = excerpt(text)
  expect(Buffer.byteLength(cut)).toBe(bytes)
  expect(text.startsWith(cut.replace(/…$/, ''))).toBe(true)
})
