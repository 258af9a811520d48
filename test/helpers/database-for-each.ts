import { afterEach, beforeEach, inject } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { Connection, type Sql } from '../../lib/postgres/pools/connection.ts'
import { dropDatabase, queryDatabase, uniqueName } from './gateway.ts'

/** A database of its own for each test of a file that has called setUp(), and a connection to it. */
export let database: string
export let connection: Connection
/** The connection's client, in a transaction. */
export let sql: Sql

/** Has each test of a file begin with its database; the file calls this at its top. */
export function setUp(): void {
  beforeEach(async () => {
    const server = parseDatabaseUrl(inject('databaseUrl'))
    database = uniqueName('deploys')
    await queryDatabase(server.database, `create database ${database} strategy file_copy`)
    const options = { database, connectTimeoutMs: 10_000, statementTimeoutMs: 0 }
    connection = new Connection(server, options, () => {})
    sql = connection.sql
    await sql.unsafe('begin')
  })

  afterEach(async () => {
    await connection.close()
    await dropDatabase(database)
  })
}
