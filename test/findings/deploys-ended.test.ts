import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// A file may end the session that runs it: what the server said of it, the file and the line are told.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const ENDS = 'select 1;\nselect pg_terminate_backend(pg_backend_pid());\nselect 2;'
const BASE: Files = textFunction('motto', 'm')

describe('a statement that ends the session', () => {
  test.each([
    ['migrations/001_end.sql', ENDS, 2],
    ['migrations/001_end.sql', `-- gateway: no-transaction\n${ENDS}`, 3],
    ['seeders/end.sql', ENDS, 2],
    ['functions/end.sql', 'do $$ begin perform pg_terminate_backend(pg_backend_pid()); end $$;', 1],
    [
      'migrations/001_end.sql',
      `create function ends() returns void language plpgsql as $$
       begin perform pg_terminate_backend(pg_backend_pid()); end $$;
       select ends();`,
      3,
    ],
  ])('%s: the file is at fault', async (path, text, line) => {
    const name = uniqueName('ends')
    expect((await gateway.register(name, await pack(BASE))).status).toBe(200)
    const { status, body } = await gateway.register(name, await pack({ ...BASE, [path]: text }))
    expect({ status, body }).toMatchObject({
      status: 422,
      body: { file: path, line, sqlstate: '57P01', cause: expect.stringMatching('administrator') },
    })
    expect((await gateway.call(name, 'motto')).status).toBe(200)
  })
})

test('one that somebody else ends is named, and may be sent again', async () => {
  const name = uniqueName('ends')
  expect((await gateway.register(name, await pack(BASE))).status).toBe(200)
  const slow = { ...BASE, 'migrations/001_slow.sql': '\nselect pg_sleep(60);' }
  const answer = gateway.register(name, await pack(slow))
  const kill = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = '${name}_main' and wait_event = 'PgSleep'`
  await until(async () => (await queryDatabase('postgres', kill, { asGateway: true })).length > 0)
  const { status, body } = await answer
  expect({ status, body }).toMatchObject({
    status: 503,
    body: {
      error: 'connection_failed',
      message: 'PostgreSQL ended the connection in migration 001_slow.sql',
      file: 'migrations/001_slow.sql',
      line: 2,
      sqlstate: '57P01',
    },
  })
})
