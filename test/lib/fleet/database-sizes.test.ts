import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { DatabaseSizes } from '../../../lib/fleet/database-sizes.ts'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import type { Sql } from '../../../lib/postgres/pools/connection.ts'
import { connectTo } from '../../helpers/gateway.ts'

let sql: Sql
beforeAll(async () => {
  sql = connectTo(parseDatabaseUrl(inject('databaseUrl')).database)
  await sql`
    create temp table _db_gateway_databases as
    select * from unnest('{postgres,template0,template1,not_there}'::text[]) database
  `
})
afterAll(() => sql.end())

test.each([1, 2, 3, 500])('sizes of all databases are read, %i at once', async (atOnce) => {
  const queries: unknown[] = []
  const use = <T>(work: (sql: Sql) => Promise<T>) => {
    const rows = work(sql)
    queries.push(rows)
    return rows
  }
  const sizes = new DatabaseSizes({ use, log: { debug: expect.unreachable }, atOnce })
  const read = new Promise((resolve) => {
    sizes.onRead = resolve
  })
  expect([...sizes.get('a')]).toEqual([])
  expect(await read).toBe('a')
  const known = sizes.get('a')
  expect([...known.keys()]).toEqual(['postgres', 'template0', 'template1'])
  for (const bytes of known.values()) expect(bytes).toBeGreaterThan(1_000_000)
  expect(queries).toHaveLength(Math.floor(3 / atOnce) + 1)
})
