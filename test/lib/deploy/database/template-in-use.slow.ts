import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, inject, test } from 'vitest'
import { afterTest } from '../../../helpers/after-test.ts'
import { cli, cliOutput } from '../../../helpers/cli.ts'
import {
  connectTo,
  createAdminDatabase,
  dropDatabase,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { pack, textFunction } from '../../../helpers/platforms.ts'
import { eventually, temporaryFolder } from '../../../helpers/process.ts'

/** PostgreSQL itself waits 5 s for the sessions of a database that is to be copied. */
const HELD_MS = 6000

/** Keeps a session in a database for as long as PostgreSQL does not wait. */
async function holdForAWhile(database: string): Promise<void> {
  const session = connectTo(database)
  await session`select 1`
  sleep(HELD_MS).then(() => session.end())
}

test('a tenant is made once the session in BASE_TEMPLATE has ended', async () => {
  const base = uniqueName('base')
  await queryDatabase('postgres', `create database ${base} template template0`, {
    asGateway: true,
  })
  afterTest(() => dropDatabase(base))
  const gateway = await startTestGateway({
    DATABASE_URL: await createAdminDatabase(),
    BASE_TEMPLATE: base,
  })
  afterTest(() => gateway.stop())
  const archive = await pack(textFunction('f', 'one'))
  await holdForAWhile(base)
  expect(await gateway.register(uniqueName('held'), archive)).toMatchObject({ status: 200 })
})

test('SQL tests run once the session in the database that they copy has ended', async () => {
  const folder = await temporaryFolder()
  const env = { DATABASE_URL: inject('databaseUrl') }
  await cliOutput(['init', '--platform', 'shop'], { folder })
  await writeFile(join(folder, 'tests', 'other.sql'), 'select 1;')
  const running = cli(['test', '--jobs', '2'], { folder, env })
  const find = `select datname as name from pg_database where datname ~ '^test_[0-9a-f]{8}'`
  let made: string | undefined
  await eventually('the database is made', async () => {
    made = (await queryDatabase('postgres', find, { asGateway: true }))[0]?.name
    return made !== undefined
  })
  await holdForAWhile(made!)
  const { code, err } = await running
  expect({ code, err }).toMatchObject({ code: 0 })
})
