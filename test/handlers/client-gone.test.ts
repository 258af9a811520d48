import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { jsonOfValue } from '../helpers/json.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { openRaw } from '../helpers/raw-http.ts'

describe('B15: a client that has gone starts nothing', () => {
  let url: string
  let first: TestGateway
  let gateway: TestGateway
  let platform: string
  let database: string
  beforeAll(async () => {
    url = await createAdminDatabase()
    first = await startTestGateway({ DATABASE_URL: url })
    platform = uniqueName('gone')
    database = `${platform}_main`
    await first.register(
      platform,
      await pack({
        'migrations/001.pssql': 'create table notes (n integer);',
        'functions/slowly.pssql': `
          create function note_slowly(p_n integer) returns integer language plpgsql as $$
            begin
              perform pg_sleep(0.5);
              insert into notes values (p_n);
              return p_n;
            end $$;
          create function has(p_n integer) returns boolean language sql stable
          as $$ select exists (select from notes where n = p_n) $$;`,
        'functions/note.pssql': `
          create function note(p_n integer) returns integer language sql
          as $$ insert into notes values (p_n) returning n $$;`,
      }),
    )
    // It knows nothing yet of the database, nor of its functions.
    gateway = await startTestGateway({ DATABASE_URL: url })
  })
  afterAll(async () => {
    await gateway?.stop()
    await first?.stop()
    await dropAdminDatabase(url)
  })

  const notes = () => first.query(database, 'select n from notes')

  const callOf = (name: string, n: number) => {
    const body = JSON.stringify({ platform, function: name, params: [n] })
    return `POST /call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  }

  test('where it leaves while the catalog is read', async () => {
    const admin = connectTo(first.server.database)
    const lines = gateway.logged.length
    try {
      await admin.begin(async (sql) => {
        await sql`lock table _db_gateway_databases in access exclusive mode`
        const { socket } = await openRaw(gateway.url)
        socket.write(callOf('note', 1))
        await eventually('the catalog is asked', async () => {
          const [row] = await sql`select from pg_locks where not granted limit 1`
          return row !== undefined
        })
        socket.destroy()
        await eventually('it is noticed', () =>
          gateway.logged.slice(lines).some(({ status }) => status === 499),
        )
      })
    } finally {
      await admin.end()
    }
    // The same gateway goes on, and by then would have run it.
    await eventually('a call', async () => {
      return (await gateway.call(platform, 'note', [2])).status === 200
    })
    expect(await notes()).toEqual([{ n: 2 }])
  })

  test('where it leaves while the signature is read', async () => {
    const fresh = await startTestGateway({ DATABASE_URL: url })
    try {
      await fresh.gateway.catalog.find({ platform, tenantId: null, schema: null })
      const { calls } = fresh.gateway
      const client = {
        get isGone() {
          return calls.functions.peek(database, 'note') !== undefined
        },
        onGone: undefined,
      }
      const call = {
        name: 'note',
        params: jsonOfValue([3]),
        timeoutMs: undefined,
        session: undefined,
        primary: false,
        numeric: undefined,
      }
      const target = { client, database, limit: undefined }
      await expect(calls.run(target, call)).rejects.toMatchObject({
        code: 'pool_exhausted',
      })
      await sleep(50)
      expect(await notes()).not.toContainEqual({ n: 3 })
      expect((await fresh.call(platform, 'note', [4])).status).toBe(200)
    } finally {
      await fresh.stop()
    }
  })

  test('nor does what it has sent behind a call that it waits for', async () => {
    const { socket } = await openRaw(first.url)
    socket.write(callOf('note_slowly', 5) + callOf('note', 6))
    await eventually('the first runs', async () => {
      const [row] = await first.query(
        database,
        `select from pg_stat_activity where wait_event = 'PgSleep' and datname = '${database}'`,
      )
      return row !== undefined
    })
    socket.destroy()
    await eventually('it is noticed', () => first.logged.some(({ status }) => status === 499))
    expect((await first.call(platform, 'note', [7])).status).toBe(200)
    expect(await notes()).not.toContainEqual({ n: 6 })
  })

  test('and one that waits finds in the second what the first has done', async () => {
    const { socket, text } = await openRaw(first.url)
    socket.write(callOf('note_slowly', 8) + callOf('has', 8))
    await eventually('both answers', () => text().includes('"has"'))
    expect(text()).toContain('{"has":true}')
  })
})
