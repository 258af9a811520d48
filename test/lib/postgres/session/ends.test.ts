import { afterEach, describe, expect, inject, test } from 'vitest'
import { sendCancel } from '../../../../lib/postgres/cancel.ts'
import { parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'
import type { Session } from '../../../../lib/postgres/session/session.ts'
import { openSession, texts } from '../../../helpers/session.ts'

/** A loaded machine takes its time. */
const PATIENT = { timeout: 20_000 }

const opened: Session[] = []
afterEach(() => {
  for (const session of opened.splice(0)) session.destroy()
})

async function open() {
  const reasons: Error[] = []
  const { session, greeting } = await openSession({ onClosed: (reason) => reasons.push(reason) })
  opened.push(session)
  return { session, greeting, reasons }
}

const slow = { text: 'select pg_sleep(30)', values: [] }
const quick = { text: 'select 1', values: [] }
const reasonOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => error.code,
  )

describe('a session that PostgreSQL ends', () => {
  test('gives every query the server’s error, and each tells how far it came', async () => {
    const { session, greeting, reasons } = await open()
    const { session: other } = await open()
    const [bound, sent] = [session.run(slow), session.run(quick)]
    session.flush()
    const terminate = { text: 'select pg_terminate_backend($1)', values: [String(greeting.pid)] }
    const asleep = 'select 1 from pg_stat_activity where pid = $1 and wait_event = $2'
    const isAsleep = async () => {
      const values = [String(greeting.pid), 'PgSleep']
      return (await other.run({ text: asleep, values }).result).rows.length
    }
    await expect.poll(isAsleep, PATIENT).toBe(1)
    // PostgreSQL does not say that it has begun while the statement runs.
    expect([bound.state, bound.mayHaveBegun]).toEqual(['sent', true])
    await other.run(terminate).result
    const late = session.run(quick)
    for (const { result } of [bound, sent, late]) expect(await reasonOf(result)).toBe('57P01')
    expect([bound.state, sent.state]).toEqual(['bound', 'sent'])
    const began = [bound, sent, late].map(({ mayHaveBegun }) => mayHaveBegun)
    expect(began).toEqual([true, false, false])
    expect(session.isClosed).toBe(true)
    expect(await reasonOf(session.run(quick).result)).toBe('57P01')
    await session.close()
    expect(reasons).toMatchObject([{ code: '57P01' }])
  })

  test('while it is idle takes no further query', async () => {
    const { session, greeting, reasons } = await open()
    const { session: other } = await open()
    await other.simple(`select pg_terminate_backend(${greeting.pid})`)
    await expect.poll(() => reasons.length, PATIENT).toBe(1)
    const query = session.run(quick)
    expect(await reasonOf(query.result)).toBe('57P01')
    expect(query.state).toBe('queued')
  })
})

describe('close', () => {
  test('has what was run before answered, and takes nothing more', async () => {
    const { session, reasons } = await open()
    const query = session.run(quick)
    const closed = session.close()
    expect(await reasonOf(session.run(quick).result)).toBe('CONNECTION_CLOSED')
    expect(texts((await query.result).rows)).toEqual([['1']])
    await Promise.all([closed, session.close()])
    expect(reasons).toMatchObject([{ code: 'CONNECTION_CLOSED' }])
  })
})

describe('destroy', () => {
  test('fails everything at once', async () => {
    const { session, reasons } = await open()
    const sent = session.run(slow)
    session.flush()
    const [queued, text] = [session.run(quick), session.simple('select 1')]
    session.destroy(Object.assign(new Error('No more'), { code: 'NO_MORE' }))
    expect(session.pending).toBe(0)
    expect(await reasonOf(sent.result)).toBe('NO_MORE')
    expect(await reasonOf(queued.result)).toBe('NO_MORE')
    expect(await reasonOf(text)).toBe('NO_MORE')
    expect([queued.state, queued.mayHaveBegun]).toEqual(['queued', false])
    expect([sent.state, sent.mayHaveBegun]).toEqual(['sent', true])
    session.destroy()
    await expect.poll(() => reasons, PATIENT).toMatchObject([{ code: 'NO_MORE' }])
  })
})

test('the secret of the greeting cancels what runs', async () => {
  const { session, greeting } = await open()
  const { result } = session.run(slow)
  session.flush()
  const server = parseDatabaseUrl(inject('databaseUrl'))
  const cancel = setInterval(() => sendCancel(server, greeting, 1000).catch(() => {}), 50)
  expect(await reasonOf(result)).toBe('57014')
  clearInterval(cancel)
})
