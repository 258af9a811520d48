import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { countRoundTrips, type RoundTrips } from '../helpers/round-trips.ts'

// D3: how often a deploy waits for an answer before it sends what comes next.

let gateway: TestGateway
let trips: RoundTrips
let admin: string
beforeAll(async () => {
  admin = await createAdminDatabase()
  trips = await countRoundTrips()
  gateway = await startTestGateway({ DATABASE_URL: trips.urlOf(parseDatabaseUrl(admin).database) })
})
afterAll(async () => {
  await gateway.stop()
  await trips.close()
  await dropAdminDatabase(admin)
})

function release(version: number): Files {
  const files: Files = {
    'tables/item.sql': 'create table item (id int primary key, name text);',
  }
  for (let i = 1; i <= version; i++) {
    files[`migrations/${i}_step.sql`] =
      i === 1
        ? 'create table item (id int primary key, name text);'
        : `create table step_${i} (id int); alter table step_${i} add column name text;`
  }
  for (let i = 0; i < 40; i++) {
    files[`functions/f${i}.sql`] = `
      create or replace function f${i}(p int) returns text language plpgsql as $$
      begin
        return (select name from item where id = p + ${version});
      end $$;`
  }
  return files
}

/** All that the database was sent after log-ins, in the order of sending; for what a failure says. */
function listed(trips: string[]): string {
  return trips.map((text) => text.replace(/[^ -~]+/g, ' ').slice(0, 90)).join('\n')
}

test('a first deploy, a release to two databases, and an unchanged archive', async () => {
  const platform = uniqueName('trips')
  const deploy = async (version: number, tenant?: string) => {
    const { body } = await gateway.register(platform, await pack(release(version)), tenant)
    expect(body).toMatchObject({ status: 'ready', functions_deployed: 40 })
    // What follows the answer counts too.
    await new Promise((resolve) => setTimeout(resolve, 500))
    return trips.take(`${platform}_${tenant ?? 'main'}`)
  }
  const first = await deploy(1)
  await deploy(1, 'two')
  const releases = [await deploy(2), await deploy(2, 'two')]
  const unchanged = await deploy(2)
  const again = await deploy(2)
  expect(first.length).toBeGreaterThan(3)
  expect(first.length, listed(first)).toBeLessThanOrEqual(15)
  for (const sent of releases) expect(sent.length, listed(sent)).toBeGreaterThan(3)
  expect(releases[0]!.length, listed(releases[0]!)).toBeLessThanOrEqual(8)
  // The first database has been compared with the files of tables/, and what its functions do is read.
  expect(releases[1]!.length, listed(releases[1]!)).toBeLessThanOrEqual(6)
  // Without a connection, since the deploy has closed its own, and with one.
  expect(unchanged.length, listed(unchanged)).toBe(1)
  expect(again.length, listed(again)).toBe(1)
}, 60_000)
