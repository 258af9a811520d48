import type { Sql } from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bindCall } from '../../lib/call/bind/parameters.ts'
import { readSignatures } from '../../lib/call/pg-proc.ts'
import { guardedQuery, readResult } from '../../lib/call/run.ts'
import { begin, inTransaction, type Query } from '../../lib/call/transaction.ts'
import { parseDatabaseUrl } from '../../lib/postgres/server.ts'
import { connectTo, createAdminDatabase, dropAdminDatabase } from '../helpers/gateway.ts'
import { jsonOfValue } from '../helpers/json.ts'

const MAX_BYTES = 1000
const nobody = { over: () => {} }

let url: string
let sql: Sql

beforeAll(async () => {
  url = await createAdminDatabase()
  sql = connectTo(parseDatabaseUrl(url).database)
  await sql.unsafe(`
    create table done (what text);
    create function in_sql(p_what text) returns text language sql
      as $$ insert into done values (p_what) returning what $$;
    create function in_plpgsql(p_what text) returns text language plpgsql
      as $$ begin insert into done values (p_what); return p_what; end $$;
    create function set_of(p_what text) returns setof done language sql
      as $$ insert into done values (p_what) returning * $$;
  `)
})
afterAll(async () => {
  await sql.end()
  await dropAdminDatabase(url)
})

async function guarded(name: string, params: string[]) {
  const call = await bindCall(name, await readSignatures(sql, name), jsonOfValue(params))
  const query = guardedQuery(sql, call, MAX_BYTES)
  return { query, read: (result: unknown) => readResult(call, result, MAX_BYTES).rows.toString() }
}

const isCurrent = async (query: Query) => String(((await query) as [Buffer[]])[0][2])

test.each(['in_sql', 'in_plpgsql', 'set_of'])(
  'a guarded call does nothing outside of a transaction of ours: %s',
  async (name) => {
    expect(await isCurrent((await guarded(name, ['no'])).query)).toBe('f')
    await sql.unsafe('begin')
    expect(await isCurrent((await guarded(name, ['no'])).query)).toBe('f')
    await sql.unsafe('commit')
    // Nor in what comes after one that was.
    await Promise.all([...begin(sql, { isReadOnly: false }), sql.unsafe('commit').execute()])
    expect(await isCurrent((await guarded(name, ['no'])).query)).toBe('f')
    expect(await sql`select from done`).toHaveLength(0)
  },
)

test('a guarded call runs in a transaction of ours', async () => {
  const { query, read } = await guarded('in_sql', ['yes'])
  const [result] = await inTransaction(sql, { isReadOnly: false }, [query], nobody)
  expect(read(result)).toBe('[{"in_sql":"yes"}]')
  expect(await sql`delete from done returning what`).toEqual([{ what: 'yes' }])
})

test('a read-only transaction refuses what writes', async () => {
  const { query } = await guarded('in_sql', ['yes'])
  await expect(inTransaction(sql, { isReadOnly: true }, [query], nobody)).rejects.toMatchObject({
    code: '25006',
  })
  expect(await sql`select from done`).toHaveLength(0)
})

test('the first error of a transaction is the one that is told', async () => {
  const { query } = await guarded('in_sql', ['yes'])
  const queries = [query, sql.unsafe('select 1 / 0'), sql.unsafe('select 2')] as Query[]
  await expect(inTransaction(sql, { isReadOnly: false }, queries, nobody)).rejects.toMatchObject({
    code: '22012',
  })
  expect(await sql`select from done`).toHaveLength(0)
})
