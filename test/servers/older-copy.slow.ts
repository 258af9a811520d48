import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { startTestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { startOtherServer } from '../helpers/servers.ts'

const run = promisify(execFile)

const PATIENCE = { timeout: 30_000, interval: 200 }

test('a server that comes back as an older copy of its files is closed, and opened again once that is wanted', async () => {
  const eu1 = await startOtherServer()
  afterTest(() => eu1.remove())
  const gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  afterTest(() => gateway.stop())
  const platform = uniqueName('older')
  const archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive)
  await gateway.register(platform, archive, 'a', { server: 'eu1' })
  const copy = `${eu1.dataDir}-copy`
  const call = async (tenant: string) => gateway.call(platform, 'f', [], tenant)
  const isServed = (tenant: string) =>
    expect.poll(async () => (await call(tenant)).status, PATIENCE).toBe(200)

  // A restart is none.
  await eu1.stop()
  await run('cp', ['-Rp', eu1.dataDir, copy])
  await eu1.start()
  await isServed('a')
  await gateway.register(platform, archive, 'b', { server: 'eu1' })
  // What was written is looked at every 5 s.
  const position = async () => {
    const [row] = await gateway.query(
      gateway.server.database,
      `select wal_position from _db_gateway_servers where name = 'eu1'`,
    )
    return row.wal_position
  }
  const before = await position()
  await expect.poll(position, PATIENCE).not.toBe(before)

  await eu1.stop()
  await run('rm', ['-r', eu1.dataDir])
  await run('mv', [copy, eu1.dataDir])
  // No call runs on it: one would say that b, which was made since, does not exist.
  let isOver = false
  const answers = new Set<number>()
  const calling = (async () => {
    for (; !isOver; await sleep(20))
      // The log-in of b is refused, which tells nothing of how old the server is.
      for (const id of ['b', 'b', 'b', 'a']) answers.add((await call(id)).status)
  })()
  await eu1.start()
  const why = async () => (await gateway.get('/health')).body.servers[1].why
  await expect.poll(why, PATIENCE).toContain('is an older copy')
  isOver = true
  await calling
  expect([...answers]).toEqual([503])
  expect(await call('a')).toMatchObject({ status: 503, body: { error: 'connection_failed' } })
  expect((await gateway.call(platform, 'f')).status).toBe(200)

  const remove = `delete from _db_gateway_servers where name = 'eu1'`
  await gateway.query(gateway.server.database, remove)
  await isServed('a')
  expect((await call('b')).status).toBe(404)
  const again = await gateway.register(platform, archive, 'b')
  expect([again.status, again.body.server]).toEqual([200, 'eu1'])
  await isServed('b')
}, 180_000)
