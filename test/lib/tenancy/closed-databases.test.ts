import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseLock } from '../../../lib/tenancy/database-lock.ts'
import { closeDatabases } from '../../../lib/tenancy/roles/closed-databases.ts'
import { connectTo, uniqueName } from '../../helpers/gateway.ts'

const sql = connectTo('postgres')
const maker = connectTo('postgres')
const name = uniqueName('open')
beforeAll(() => sql.unsafe(`create database ${name} template template0`))
afterAll(async () => {
  await sql.unsafe(`drop database if exists ${name}`)
  await Promise.all([sql.end(), maker.end()])
})

async function isOpen(): Promise<boolean> {
  const [row] = await sql<[{ is_open: boolean }]>`
    select has_database_privilege('public', ${name}, 'connect') as is_open
  `
  return row.is_open
}

test('a database that is being made is left to whoever makes it, and closed otherwise', async () => {
  await maker.begin(async (making) => {
    await making`select pg_advisory_xact_lock(${databaseLock(maker, name)})`
    // As handing it over begins.
    await making.unsafe(`alter database ${name} owner to current_user`)
    await closeDatabases(sql)
    await making.unsafe(`revoke temporary on database ${name} from public`)
  })
  expect(await isOpen()).toBe(true)
  await closeDatabases(sql)
  expect(await isOpen()).toBe(false)
})
