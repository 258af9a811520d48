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

  test('where it leaves while the catalog is read', async () => {
    const admin = connectTo(first.server.database)
    const lines = gateway.logged.length
    try {
      await admin.begin(async (sql) => {
        await sql`lock table _db_gateway_databases in access exclusive mode`
        const body = JSON.stringify({ platform, function: 'note', params: [1] })
        const { socket } = await openRaw(gateway.url)
        socket.write(
          `POST /call HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        )
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
})
