import { afterAll, beforeAll, expect, test } from 'vitest'
import { databaseLock } from '../../../lib/tenancy/database-lock.ts'
import { closeDatabases } from '../../../lib/tenancy/roles/closed-databases.ts'
import { connectTo, startTestGateway, uniqueName } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

const ONE = {
  'functions/one.pssql': "create function one() returns int language sql as 'select 1';",
}

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

test('a deploy goes on where a gateway of another catalog closes the new database meanwhile', {
  timeout: 10_000,
}, async () => {
  const gateway = await startTestGateway()
  const platform = uniqueName('made')
  try {
    const registered = gateway.register(platform, await pack(ONE))
    // The lock of the name is in the catalog of the gateway that makes it, which others do not see.
    const close = () =>
      maker.unsafe(`
        begin; revoke connect on database ${platform}_main from public; select pg_sleep(0.2); commit
      `)
    const isMissing = (error: { code?: string }) => error.code === '3D000'
    for (let isClosed = false; !isClosed; ) {
      isClosed = await close().then(
        () => true,
        async (error) => {
          await maker`rollback`
          if (!isMissing(error)) throw error
          return false
        },
      )
    }
    expect((await registered).body).toMatchObject({ status: 'ready' })
  } finally {
    await gateway.stop()
  }
})
