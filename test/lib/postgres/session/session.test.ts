import { afterEach, describe, expect, test } from 'vitest'
import { ServerError } from '../../../../lib/postgres/session/server-error.ts'
import type { Session, SessionOptions } from '../../../../lib/postgres/session/session.ts'
import { openSession, texts } from '../../../helpers/session.ts'

const opened: Session[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((session) => session.close()))
})

async function open(options?: SessionOptions): Promise<Session> {
  const { session } = await openSession(options)
  opened.push(session)
  return session
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

describe('run', () => {
  test('gives rows as byte ranges, in text, with NULL as null', async () => {
    const session = await open()
    const { rows, columns, tag, isSuspended } = await session.run({
      text: 'select $1::int, $2::text, $3::text, $4::bytea, $5::text',
      values: ['7', null, 'é€😀', '\\x00ff', ''],
    }).result
    expect(texts(rows)).toEqual([['7', null, 'é€😀', '\\x00ff', '']])
    expect({ columns, tag, isSuspended }).toEqual({
      columns: undefined,
      tag: 'SELECT 1',
      isSuspended: false,
    })
  })

  test('takes bytes as they are, and texts of every length', async () => {
    const session = await open()
    for (const text of ['é'.repeat(31), 'x'.repeat(33), 'é€'.repeat(40_000), '😀'.repeat(9)]) {
      const statement = { text: 'select $1::text, $2::text', values: [text, Buffer.from(text)] }
      const { rows } = await session.run(statement).result
      expect(texts(rows)).toEqual([[text, text]])
    }
  })

  test('names the columns where they are asked for', async () => {
    const session = await open()
    const described = { text: 'select 1 as "é", now() as at', values: [], describe: true }
    expect((await session.run(described).result).columns).toEqual([
      { name: 'é', type: 23 },
      { name: 'at', type: 1184 },
    ])
    const nothing = { text: 'begin', values: [], describe: true }
    expect(await session.run(nothing).result).toMatchObject({ columns: [], tag: 'BEGIN' })
  })

  test('says which step an error came at', async () => {
    const session = await open()
    const failures = [
      ['select nothing()', 'sent', '42883'],
      ['select $1::int', 'sent', '22P02'],
      // A plan is made within Bind, and computes what is constant.
      ['select 1 / 0', 'sent', '22012'],
      ['select 1 / (random() * 0)::int', 'bound', '22012'],
    ] as const
    for (const [text, state, code] of failures) {
      const query = session.run({ text, values: text.includes('$1') ? ['x'] : [] })
      await expect(query.result).rejects.toMatchObject({ name: 'ServerError', code })
      expect(query).toMatchObject({ state, isSettled: true, mayHaveBegun: state === 'bound' })
    }
  })

  test('fails with the error of the commit', async () => {
    const session = await open()
    await session.simple('create temp table once (n int unique deferrable initially deferred)')
    const query = session.run({ text: 'insert into once values (1), (1)', values: [] })
    await expect(query.result).rejects.toMatchObject({ code: '23505', table: 'once' })
    expect(session.transactionStatus).toBe('I')
  })

  test('answers an empty statement, and at most so many rows', async () => {
    const session = await open()
    expect(await session.run({ text: '', values: [] }).result).toMatchObject({ rows: [], tag: '' })
    const statement = { text: 'select generate_series(1, 5)', values: [], maxRows: 2 }
    const { rows, isSuspended } = await session.run(statement).result
    expect({ rows: texts(rows), isSuspended }).toEqual({ rows: [['1'], ['2']], isSuspended: true })
  })

  test('gives each of many at once its own answer, errors among them', async () => {
    const session = await open()
    const queries = Array.from({ length: 500 }, (_, i) => {
      const text = i % 7 === 3 ? 'select 1 / ($1::int * 0)' : `select $1::int + ${i % 5}`
      return session.run({ text, values: [String(i)] })
    })
    const results = await Promise.allSettled(queries.map((query) => query.result))
    for (const [i, result] of results.entries()) {
      if (i % 7 === 3) expect(result).toMatchObject({ reason: { code: '22012' } })
      else if (result.status === 'fulfilled') {
        expect(texts(result.value.rows)).toEqual([[String(i + (i % 5))]])
      } else throw result.reason
    }
  })

  test('keeps what belongs to one query together when a function deallocates statements', async () => {
    const session = await open()
    const run = (text: string) => session.run({ text, values: [] }).result
    await run('select 1')
    await run('select 2')
    const drop = run("do $$ begin execute 'deallocate all'; end $$")
    const lost = [run('select 1'), run('select 2'), run('select 1')]
    await drop
    for (const result of lost) await expect(result).rejects.toMatchObject({ code: '26000' })
    expect(texts((await run('select 1')).rows)).toEqual([['1']])
    expect(texts((await run('select 2')).rows)).toEqual([['2']])
  })

  test('prepares a statement anew whose result has changed', async () => {
    const session = await open()
    const run = () => session.run({ text: 'select * from changing', values: [] }).result
    await session.simple('create temp table changing (a int)')
    await run()
    await session.simple('alter table changing add b text')
    await expect(run()).rejects.toMatchObject({ code: '0A000', routine: 'RevalidateCachedQuery' })
    expect((await run()).tag).toBe('SELECT 0')
  })

  test('refuses what cannot be sent, before anything is', async () => {
    const session = await open()
    expect(() => session.run({ text: 'select 1\0', values: [] })).toThrow(TypeError)
    const values = Array.from({ length: 65_536 }, () => '1')
    expect(() => session.run({ text: 'select 1', values })).toThrow(RangeError)
    expect(session.pending).toBe(0)
  })
})

describe('prepared statements', () => {
  const count = 'select count(*) from pg_prepared_statements where name like $1'

  test('are at most so many in the server, and a failed one is not kept', async () => {
    const session = await open({ maxStatements: 3 })
    for (let i = 0; i < 10; i++) await session.run({ text: `select ${i}`, values: [] }).result
    const failed = session.run({ text: 'select nothing', values: [] })
    await expect(failed.result).rejects.toMatchObject({ code: '42703' })
    expect(session.prepared).toBe(2)
    const { rows } = await session.run({ text: count, values: ['gateway%'] }).result
    expect(texts(rows)).toEqual([['3']])
  })

  test('are closed in front of the next pipeline, so that a failure does not skip it', async () => {
    const session = await open({ maxStatements: 1 })
    const queries = session.pipeline([
      { text: 'select 1', values: [] },
      { text: 'select 1 / 0', values: [] },
      { text: 'select 3', values: [] },
    ])
    await Promise.allSettled(queries.map((query) => query.result))
    const { rows } = await session.run({ text: count, values: ['gateway%'] }).result
    expect(texts(rows)).toEqual([['1']])
  })

  test('that fail to be prepared give all who asked meanwhile the same error', async () => {
    const session = await open()
    const queries = [1, 2, 3].map(() => session.run({ text: 'select nothing()', values: [] }))
    for (const { result } of queries) await expect(result).rejects.toMatchObject({ code: '42883' })
    expect(session.prepared).toBe(0)
  })

  test('are forgotten after DISCARD ALL', async () => {
    const session = await open()
    await session.run({ text: 'select 1', values: [] }).result
    await session.simple('discard all')
    expect(session.prepared).toBe(0)
    expect((await session.run({ text: 'select 1', values: [] }).result).tag).toBe('SELECT 1')
  })

  test('without a name are prepared each time', async () => {
    const session = await open()
    const statement = { text: 'select 1', values: [], isPrepared: false }
    await Promise.all([session.run(statement).result, session.run(statement).result])
    expect(session.prepared).toBe(0)
  })
})

describe('pipeline', () => {
  test('is one transaction: an error skips the rest and undoes the others', async () => {
    const session = await open()
    await session.simple('create temp table kept (n int)')
    const [first, second, third] = session.pipeline([
      { text: 'insert into kept values (1)', values: [] },
      { text: 'select 1 / 0', values: [] },
      { text: 'insert into kept values (3)', values: [] },
    ])
    expect((await first!.result).tag).toBe('INSERT 0 1')
    await expect(second!.result).rejects.toMatchObject({ code: '22012' })
    await expect(third!.result).rejects.toMatchObject({ code: 'SKIPPED' })
    expect([first, second, third].map((query) => query!.state)).toEqual(['bound', 'sent', 'sent'])
    expect(third!.mayHaveBegun).toBe(false)
    expect((await session.run({ text: 'table kept', values: [] }).result).rows).toEqual([])
  })

  test('of several at once do not mix', async () => {
    const session = await open()
    const pipelines = Array.from({ length: 30 }, (_, i) =>
      session.pipeline(
        [0, 1, 2].map((j) => ({ text: 'select 10 / $1::int', values: [String((i + j) % 5)] })),
      ),
    )
    for (const [i, queries] of pipelines.entries()) {
      const results = await Promise.allSettled(queries.map((query) => query.result))
      let failed = false
      for (const [j, result] of results.entries()) {
        const n = (i + j) % 5
        if (failed) expect(result).toMatchObject({ reason: { code: 'SKIPPED' } })
        else if (n === 0) expect(result).toMatchObject({ reason: { code: '22012' } })
        else if (result.status === 'fulfilled') {
          expect(texts(result.value.rows)).toEqual([[String(Math.trunc(10 / n))]])
        } else throw result.reason
        failed ||= n === 0
      }
    }
  })
})

describe('simple', () => {
  test('gives one result for each statement, and the status of the transaction', async () => {
    const session = await open()
    const results = await session.simple('begin; select 1 as a, null as b; select 2 where false')
    expect(results.map(({ tag }) => tag)).toEqual(['BEGIN', 'SELECT 1', 'SELECT 0'])
    expect(texts(results[1]!.rows)).toEqual([['1', null]])
    expect(results[1]!.columns?.map(({ name }) => name)).toEqual(['a', 'b'])
    expect(session.transactionStatus).toBe('T')
    await expect(session.simple('select 1 / 0')).rejects.toBeInstanceOf(ServerError)
    expect(session.transactionStatus).toBe('E')
    await session.simple('rollback')
    expect(session.transactionStatus).toBe('I')
    expect(await session.simple('')).toMatchObject([{ rows: [], tag: '' }])
  })

  test('goes out with what else is queued in the turn, in order', async () => {
    const session = await open()
    const query = session.run({ text: 'show application_name', values: [] })
    const set = session.simple("set application_name = 'second'")
    const after = session.run({ text: 'show application_name', values: [] })
    expect([query.state, session.pending]).toEqual(['queued', 3])
    await nextTurn()
    expect(query.state).toBe('sent')
    await set
    expect(texts((await query.result).rows)).toEqual([['']])
    expect(texts((await after.result).rows)).toEqual([['second']])
  })
})

describe('drop', () => {
  test('takes back what is queued, and nothing that was sent', async () => {
    const session = await open()
    await session.simple('create temp sequence counter')
    const next = { text: "select nextval('counter')", values: [] }
    const [first, second, third] = [next, next, next].map((each) => session.run(each))
    const pipeline = session.pipeline([next, next])
    expect(session.drop(second!)).toBe(true)
    expect(session.drop(second!)).toBe(false)
    expect(session.drop(pipeline[1]!)).toBe(true)
    for (const { result } of [second!, ...pipeline]) {
      await expect(result).rejects.toMatchObject({ code: 'DROPPED' })
    }
    session.flush()
    expect(session.drop(third!)).toBe(false)
    expect(texts((await first!.result).rows)).toEqual([['1']])
    expect(texts((await third!.result).rows)).toEqual([['2']])
  })
})
