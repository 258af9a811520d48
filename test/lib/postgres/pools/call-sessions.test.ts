import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'
import {
  IS_PRESENCE,
  LOCK_CLASS,
  type OpeningQuestion,
} from '../../../../lib/postgres/pools/call-sessions.ts'
import { Connection, type Sql } from '../../../../lib/postgres/pools/connection.ts'
import { connectTo, dropDatabase, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'
import { until } from '../../../helpers/process.ts'

const server = parseDatabaseUrl(inject('databaseUrl'))
const database = uniqueName('opening')
let sql: Sql

beforeAll(async () => {
  await queryDatabase(server.database, `create database ${database} strategy file_copy`)
  sql = connectTo(database)
})
afterAll(async () => {
  await sql.end()
  await dropDatabase(database)
})

const answers: [string, string][] = []
const asking = (items: string): OpeningQuestion => ({
  items,
  onAnswer: (...answer) => answers.push(answer),
})

/** Opens a session for calls and returns how many presence locks it has then. */
async function presenceOf(atOpening?: OpeningQuestion, at = server): Promise<number> {
  answers.length = 0
  const limits = { connectTimeoutMs: 5000, statementTimeoutMs: 5000 }
  const options = { database, speaks: 'wire' as const, atOpening, ...limits }
  const connection = new Connection(at, options, () => {})
  try {
    await connection.session
    const [row] = await sql.unsafe<{ count: number }[]>(
      `select count(*)::int from pg_locks where granted and ${IS_PRESENCE}`,
    )
    return row!.count
  } finally {
    await connection.close()
  }
}

test('a session for calls is present', async () => {
  expect(await presenceOf()).toBe(1)
})

test('what it is asked when it opens is answered, as text', async () => {
  expect(await presenceOf(asking("array[1 + 1, 3], 'a b'"))).toBe(1)
  expect(answers).toEqual([[database, '{2,3} a b']])
})

test('it opens without an answer where PostgreSQL refuses the question', async () => {
  expect(await presenceOf(asking("pg_catalog.pg_read_file('/etc/hostname')"))).toBe(1)
  expect(answers).toEqual([])
})

test('all that it is asked goes out with its password: there is no round trip for it', async () => {
  const sent: Buffer[] = []
  const proxy = createServer((client) => {
    const { host, port } = server
    const upstream = connect(
      host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port },
    )
    client.on('data', (chunk) => sent.push(chunk)).pipe(upstream)
    upstream.pipe(client)
    for (const socket of [client, upstream]) socket.on('error', () => {})
  }).listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  try {
    const at = { ...server, host: '127.0.0.1', port: (proxy.address() as AddressInfo).port }
    expect(await presenceOf(asking('1'), at)).toBe(1)
    expect(answers).toEqual([[database, '1']])
  } finally {
    proxy.close()
  }
  const asked = sent.filter((bytes) => bytes.includes('pg_try_advisory'))
  expect(asked).toHaveLength(1)
  expect(asked[0]!.toString('latin1', 0, 1)).toBe('p')
  // Only Terminate comes after it.
  expect(sent.indexOf(asked[0]!)).toBe(sent.length - 2)
})

test('it waits for the gate, and is present behind it', async () => {
  await sql.unsafe(`select pg_advisory_lock(${LOCK_CLASS}, 1)`)
  let isOpen = false
  const presence = presenceOf(asking('1')).finally(() => {
    isOpen = true
  })
  const watcher = connectTo(database)
  const isWaiting = async () => {
    const waiting = await watcher`
      select from pg_locks l join pg_database d on d.oid = l.database
      where d.datname = ${database} and l.locktype = 'advisory' and not l.granted`
    return waiting.length > 0
  }
  try {
    await until(isWaiting)
    expect(isOpen).toBe(false)
    const locks = await watcher.unsafe(`select from pg_locks where ${IS_PRESENCE}`)
    expect(locks).toHaveLength(0)
  } finally {
    await sql.unsafe(`select pg_advisory_unlock(${LOCK_CLASS}, 1)`)
    await watcher.end()
  }
  expect(await presence).toBe(1)
})
