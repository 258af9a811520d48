import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, test } from 'vitest'
import type { Query, Statement } from '../../../../lib/postgres/session/query.ts'
import type { Session, SessionOptions } from '../../../../lib/postgres/session/session.ts'
import { eventually } from '../../../helpers/process.ts'
import { openSession, texts } from '../../../helpers/session.ts'

/** A loaded machine takes its time. */
const PATIENT = { timeout: 20_000 }

const opened: Session[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((session) => session.close()))
})

async function open(options?: SessionOptions): Promise<Session> {
  const { session } = await openSession(options)
  opened.push(session)
  return session
}

const statement = (text: string, ...values: string[]) => ({ text, values })
const quick = statement('select 1')

describe('what comes beside the answers', () => {
  test('parameters are reported, notices and notifications are not', async () => {
    const reported: Record<string, string> = {}
    const session = await open({
      onParameter: (name, value) => {
        reported[name] = value
      },
    })
    await session.simple("listen news; notify news, 'one'")
    const noisy =
      "do $$ begin for i in 1..100 loop raise notice '%', repeat('x', 9999); end loop; end $$"
    const results = [
      session.run(statement(noisy)),
      session.run(statement("select set_config('application_name', 'é', false)")),
      session.run(quick),
    ].map((query) => query.result)
    expect((await Promise.all(results)).map(({ tag }) => tag)).toEqual([
      'DO',
      'SELECT 1',
      'SELECT 1',
    ])
    expect(reported.application_name).toMatch(/^(é|\?\?|\\xc3\\xa9)$/)
  })
})

test('a session that is busy keeps no answered query in memory', async () => {
  const session = await open()
  const answered = await answeredBefore(session, statement('select pg_sleep(60)'))
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await eventually('the collection of the query', async () => {
    await nextTurn()
    collect()
    return answered.deref() === undefined
  })
  expect(session.pending).toBe(1)
  session.destroy()
})

/** Returns a query that is answered, with another one behind it that is not. */
async function answeredBefore(session: Session, next: Statement): Promise<WeakRef<Query>> {
  const query = session.run(quick)
  session.run(next)
  await query.result
  return new WeakRef(query)
}

describe('COPY', () => {
  test('from the client fails, and the session goes on', async () => {
    const session = await open()
    await session.simple('create temp table copied (n int)')
    await expect(session.run(statement('copy copied from stdin')).result).rejects.toMatchObject({
      code: '57014',
    })
    await expect(session.simple('copy copied from stdin')).rejects.toMatchObject({ code: '57014' })
    expect((await session.run(statement('table copied')).result).rows).toEqual([])
    expect(session.transactionStatus).toBe('I')
  })

  test('from the client with queries behind it ends the session', async () => {
    const session = await open()
    await session.simple('create temp table copied (n int)')
    const queries = [session.run(statement('copy copied from stdin')), session.run(quick)]
    for (const { result } of queries) {
      await expect(result).rejects.toMatchObject({ code: 'COPY_REFUSED' })
    }
  })

  test('to the client gives nothing', async () => {
    const session = await open()
    const text = "copy (select repeat('x', 100000) from generate_series(1, 100)) to stdout"
    const [copied, next] = [session.run(statement(text)), session.run(quick)]
    expect(await copied.result).toMatchObject({ rows: [], tag: 'COPY 100' })
    expect(texts((await next.result).rows)).toEqual([['1']])
    expect(await session.simple(`${text}; select 2`)).toMatchObject([{ tag: 'COPY 100' }, {}])
  })
})

describe('large answers', () => {
  const megabytes = (n: number) =>
    statement(`select repeat('0123456789abcdef', $1)`, String(n * 65536))

  test('are whole', async () => {
    const session = await open()
    const [first, second] = [session.run(megabytes(5)), session.run(quick)]
    const [row] = (await first.result).rows
    expect(row![0]!.equals(Buffer.alloc(5 * 2 ** 20, '0123456789abcdef'))).toBe(true)
    expect(texts((await second.result).rows)).toEqual([['1']])
  })

  test('are asked for before they are read, in one row or in many', async () => {
    const asked: [number, Query | undefined][] = []
    const session = await open({
      admit: (bytes, query) => {
        asked.push([bytes, query])
        return true
      },
    })
    const large = session.run(megabytes(1))
    const rows = session.run(statement("select repeat('x', 1000) from generate_series(1, 1000)"))
    const small = session.run(quick)
    await small.result
    expect(asked[0]).toEqual([2 ** 20 + 6, large])
    expect(asked.slice(1).every(([, query]) => query === rows)).toBe(true)
    expect(rows.admittedBytes).toBeGreaterThan(900_000)
    expect(asked.at(-1)![0]).toBeLessThan(70_000)
    expect(small.admittedBytes).toBe(0)
  })

  test('wait in PostgreSQL until there is leave, and nothing is lost', async () => {
    const leaves: (() => void)[] = []
    const session = await open({
      admit: () => new Promise((resolve) => leaves.push(resolve)),
    })
    const queries = [session.run(megabytes(3)), session.run(megabytes(2)), session.run(quick)]
    await expect.poll(() => leaves.length, PATIENT).toBe(1)
    await sleep(50)
    expect(queries.map(({ isSettled }) => isSettled)).toEqual([false, false, false])
    leaves.shift()!()
    expect((await queries[0]!.result).rows[0]![0]!.length).toBe(3 * 2 ** 20)
    await expect.poll(() => leaves.length, PATIENT).toBe(1)
    leaves.shift()!()
    expect((await queries[1]!.result).rows[0]![0]!.length).toBe(2 * 2 ** 20)
    expect(texts((await queries[2]!.result).rows)).toEqual([['1']])
  })

  test('are asked for row by row where a statement wants that, and not read where they are refused', async () => {
    const session = await open()
    const tooLarge = new Error('Too large')
    const asked: number[] = []
    const statements = [quick, statement('select 1, 22'), megabytes(1), quick].map((one) => ({
      ...one,
      admitsEach: true,
      admit: (bytes: number) => {
        asked.push(bytes)
        return bytes > 2 ** 20 ? tooLarge : (true as const)
      },
    }))
    const queries = session.pipeline(statements)
    const results = await Promise.allSettled(queries.map(({ result }) => result))
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ])
    await expect(queries[2]!.result).rejects.toBe(tooLarge)
    expect(asked).toEqual([7, 13, 2 ** 20 + 6, 7])
    // PostgreSQL knows of no error: what was done is committed.
    expect([queries[2]!.isSettled, queries[2]!.error]).toEqual([true, undefined])
    expect(texts((await session.run(quick).result).rows)).toEqual([['1']])
  })

  test('that are refused fail with what PostgreSQL says instead, where it does', async () => {
    const session = await open()
    const rows = "select repeat('x', 100000), 1 / (2 - n) from generate_series(1, 2) as n"
    const query = session.run({ ...statement(rows), admit: () => new Error('Too large') })
    await expect(query.result).rejects.toMatchObject({ code: '22012' })
  })

  test('that get no leave end the session', async () => {
    const session = await open({ admit: () => Promise.reject(new Error('No room')) })
    await expect(session.run(megabytes(1)).result).rejects.toThrow('No room')
  })
})

describe('a cursor', () => {
  const numbers = { ...statement('select generate_series(1, 5)'), maxRows: 2, describe: true }

  test('gives its rows a few at a time', async () => {
    const session = await open()
    const began = session.simple('begin')
    const cursor = session.open(numbers)
    await began
    const first = await cursor.first.result
    expect(first.columns?.map(({ name }) => name)).toEqual(['generate_series'])
    const rest = [await cursor.next(2).result, await cursor.next(2).result]
    const all = [first, ...rest].map(({ rows, isSuspended }) => [texts(rows).flat(), isSuspended])
    expect(all).toEqual([
      [['1', '2'], true],
      [['3', '4'], true],
      [['5'], false],
    ])
    await cursor.close().result
    await expect(cursor.next(1).result).rejects.toMatchObject({ code: '34000' })
    await session.simple('rollback')
  })

  test('goes on between other statements, and ends with its transaction', async () => {
    const session = await open()
    await session.simple('begin')
    const [one, two] = [session.open(numbers), session.open(numbers)]
    await session.run(quick).result
    expect(texts((await two.next(9).result).rows).flat()).toEqual(['3', '4', '5'])
    expect(texts((await one.next(1).result).rows).flat()).toEqual(['3'])
    await session.simple('commit')
    await expect(one.next(1).result).rejects.toMatchObject({ code: '34000' })
  })
})
