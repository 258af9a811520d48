import { afterAll, beforeAll, expect, test } from 'vitest'
import { SCHEMA_VERSION } from '../../../../lib/call/signatures/version.ts'
import { type ReplicationPair, startReplication } from '../../../helpers/replication.ts'

let pair: ReplicationPair
beforeAll(async () => {
  pair = await startReplication()
})
afterAll(() => pair?.end())

test('a replica that has replayed gives the version of its primary', async () => {
  const { primary, standby } = pair
  const version = async (server: typeof primary) => (await server.query(SCHEMA_VERSION))[0].version
  const before = await version(primary)
  await primary.query("create function here() returns int language sql as 'select 1'")
  await primary.query('create type pair as (a int)')
  const after = await version(primary)
  expect(after).not.toBe(before)
  await expect.poll(() => version(standby), { timeout: 10_000 }).toBe(after)
})
