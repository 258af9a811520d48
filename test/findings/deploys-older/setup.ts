import { afterAll, beforeAll, expect } from 'vitest'
import {
  type Answer,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../helpers/platforms.ts'

// An old container that starts again took its schema back; and what /admin/databases said then.

export let gateway: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    gateway = await startTestGateway()
  })

  afterAll(() => gateway.stop())
}

export const FIRST: Files = {
  'migrations/001_base.pssql': 'create table item (id int primary key, name text, price int);',
  'types/state.pssql': "create type state as enum ('new');",
  ...textFunction('motto', 'first'),
  ...textFunction('greeting', 'hello'),
}

export const SECOND: Files = {
  ...FIRST,
  'migrations/002_more.pssql': 'create table part (id int); alter table item add note text;',
  'types/state.pssql': "create type state as enum ('new', 'done');",
  'tables/extra.pssql': 'create table extra (id int);',
  ...textFunction('motto', 'second'),
  ...textFunction('farewell', 'bye'),
}

export interface Platform {
  name: string
  database: string
  first: Uint8Array
  second: Uint8Array
}

/** A platform to whose main database both archives were deployed, one after the other. */
export async function newPlatform(first = FIRST, second = SECOND): Promise<Platform> {
  const name = uniqueName('older')
  const archives = { first: await pack(first), second: await pack(second) }
  for (const archive of [archives.first, archives.second]) {
    expect(await gateway.register(name, archive)).toMatchObject({ status: 200 })
  }
  return { name, database: `${name}_main`, ...archives }
}

export async function said(platform: string, name: string, tenantId?: string): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, [], tenantId)
  return status === 200 ? body.rows[0][name] : status
}

export const warningsOf = ({ body }: Answer) => body.warnings.join('\n')

export async function ownerOf(database: string): Promise<string> {
  const [row] = await queryDatabase(
    database,
    'select pg_get_userbyid(datdba) as role from pg_database where datname = current_database()',
  )
  return row.role
}
