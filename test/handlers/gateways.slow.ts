import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startBehindProxy } from '../helpers/behind-proxy.ts'
import { capacityBecomes } from '../helpers/capacity.ts'
import { exportTenant, findTools } from '../helpers/dumps.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  sessionsRunning,
  startTestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { startProcess } from '../helpers/process.ts'

const CAP = 20

test('a gateway that says nothing any more gives its share back within 30 s, and has one again when it comes back', async () => {
  const url = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(url))
  const settings = {
    DATABASE_URL: url,
    MAX_TOTAL_CONNECTIONS: `${CAP}`,
    MAX_CONNECTIONS_PER_POOL: `${CAP}`,
  }
  const gateway = await startTestGateway(settings)
  afterTest(() => gateway.stop())
  const other = await startProcess(settings)
  await other.url()
  await capacityBecomes(gateway, CAP / 2)
  const sql = connectTo(parseDatabaseUrl(url).database)
  afterTest(() => sql.end())
  const untold = () => sql`
    select from pg_stat_activity a
    where datname = current_database() and pid <> pg_backend_pid()
      and not exists (select from _db_gateway_gateways g where a.pid = any (g.sessions))`
  await expect.poll(async () => (await untold()).count, { timeout: 4000 }).toBe(0)

  other.kill('SIGSTOP')
  afterTest(() => other.kill('SIGCONT'))
  const stoppedAt = performance.now()
  await capacityBecomes(gateway, CAP, 45_000)
  expect(performance.now() - stoppedAt).toBeLessThan(30_000)

  other.kill('SIGCONT')
  await capacityBecomes(gateway, CAP / 2)
  const { permits } = (await other.get('/admin/pools')).body
  expect(permits.capacity).toBe(CAP / 2)
}, 90_000)

test('statements of a gateway that was killed count until PostgreSQL has ended them', async () => {
  const admin = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(admin))
  const settings = {
    DATABASE_URL: admin,
    MAX_TOTAL_CONNECTIONS: `${CAP}`,
    MAX_CONNECTIONS_PER_POOL: `${CAP}`,
    POOL_WAIT_TIMEOUT_SECS: '60',
  }
  const gateway = await startTestGateway(settings)
  afterTest(() => gateway.stop())
  const platform = uniqueName('p')
  await gateway.register(
    platform,
    await pack({
      // PostgreSQL does not notice that their client has gone, nor whose session it is.
      'functions/nap.pssql': `
        create function nap(seconds float8) returns void language plpgsql
        set client_connection_check_interval to 0 set application_name to 'other'
        as $$ begin perform pg_sleep(seconds); end $$;`,
    }),
  )
  const other = await startProcess(settings)
  await other.url()
  await capacityBecomes(gateway, CAP / 2)
  for (let i = 0; i < CAP / 2 - 2; i++) other.call(platform, 'nap', [25]).catch(() => {})
  const sql = connectTo(parseDatabaseUrl(admin).database)
  afterTest(() => sql.end())
  const sessions = async () => {
    const [row] = await sql<{ all: number; naps: number; left: number }[]>`
      select count(*)::integer as all,
        count(*) filter (where application_name = 'other')::integer as naps,
        count(*) filter (where application_name = 'other' and now() - query_start > '3 s')::integer
          as left
      from pg_stat_activity
      where pid <> pg_backend_pid() and application_name <> 'psql' and (datname = current_database() or datname = ${`${platform}_main`})
    `
    return row!
  }
  await expect.poll(async () => (await sessions()).naps).toBe(CAP / 2 - 2)
  // Somebody's own session holds nothing back.
  const foreign = connectTo(`${platform}_main`)
  afterTest(() => foreign.end())
  await foreign`select set_config('application_name', 'psql', false)`
  let isRunning = true
  afterTest(() => {
    isRunning = false
  })
  const callers = Array.from({ length: 2 * CAP }, async () => {
    while (isRunning) await gateway.call(platform, 'nap', [0.05])
  })
  other.kill('SIGKILL')
  await other.exit
  // What it has left idle is free before its statements have ended.
  await capacityBecomes(gateway, CAP / 2 + 2, 20_000)
  let most = 0
  for (let naps = 1; naps > 0; ) {
    const now = await sessions()
    most = Math.max(most, now.all)
    naps = now.left
  }
  expect(most).toBeLessThanOrEqual(CAP)
  await capacityBecomes(gateway, CAP, 20_000)
  isRunning = false
  await Promise.all(callers)
}, 120_000)

test('PostgreSQL ends a statement whose gateway was killed', async () => {
  const admin = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(admin))
  const killed = await startProcess({ DATABASE_URL: admin })
  const platform = uniqueName('p')
  await killed.register(platform, {
    'functions/nap.pssql': `create function nap(seconds float8) returns void language sql
      as $$ select pg_sleep(seconds) $$`,
  })
  killed.call(platform, 'nap', [20]).catch(() => {})
  const running = () => sessionsRunning(`${platform}_main`, 'nap')
  await expect.poll(running).toBe(1)
  killed.kill('SIGKILL')
  await expect.poll(running, { timeout: 5000 }).toBe(0)
}, 60_000)

test('an export goes on while the sessions of another gateway, which was killed, are ended', async ({
  skip,
}) => {
  skip((await findTools()) === undefined, 'no pg_dump of this version')
  const admin = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(admin))
  const settings = { DATABASE_URL: admin, MAX_TOTAL_CONNECTIONS: `${CAP}` }
  const gateway = await startTestGateway(settings)
  afterTest(() => gateway.stop())
  const platform = uniqueName('p')
  const archive = await pack({ 'migrations/001_a.pgsql': 'create table a (i integer)' })
  await gateway.register(platform, archive, 't')
  const killed = await startProcess(settings)
  await killed.url()
  await capacityBecomes(gateway, CAP / 2)
  const sql = connectTo(`${platform}_t`)
  afterTest(() => sql.end())
  await sql.unsafe('begin; lock table a in access exclusive mode')
  const exported = exportTenant(gateway, { platform, tenant_id: 't' }).then(async (answer) => {
    await answer.arrayBuffer()
    return answer.status
  })
  await expect.poll(() => sessionsRunning(`${platform}_t`, 'LOCK TABLE')).toBe(1)
  killed.kill('SIGKILL')
  await killed.exit
  // Neither the session with the lock nor that of pg_dump counts as one that the killed gateway has left.
  await capacityBecomes(gateway, CAP, 20_000)
  await sql.unsafe('commit')
  expect(await exported).toBe(200)
}, 60_000)

test('neither a gateway that has lost its listening session, nor one that starts, loses a session to the others', async () => {
  const world = await startBehindProxy({ MAX_TOTAL_CONNECTIONS: `${CAP}` })
  afterTest(() => world.stop())
  const { gateway, proxy, adminUrl } = world
  const platform = uniqueName('p')
  const nap = `create function nap(seconds float8) returns text language sql
    as $$ select 'slept' from pg_sleep(seconds) $$`
  await gateway.register(platform, await pack({ 'functions/nap.pssql': nap }))
  const other = await startProcess({ DATABASE_URL: adminUrl, MAX_TOTAL_CONNECTIONS: `${CAP}` })
  await other.url()
  await capacityBecomes(gateway, CAP / 2)
  const starting = connectTo(`${parseDatabaseUrl(adminUrl).database}`)
  afterTest(() => starting.end())
  const pidOf = () =>
    starting`select pg_backend_pid() as pid, set_config('application_name', 'db-gateway', false)`
  const [before] = await pidOf()
  const answer = gateway.call(platform, 'nap', [11])
  await expect.poll(() => sessionsRunning(`${platform}_main`, 'nap')).toBe(1)
  proxy.cutNext(10_000)
  const ended = await starting`
    select pg_terminate_backend(l.pid) from pg_locks l join _db_gateway_gateways g on l.objid = g.lock::oid
    where l.locktype = 'advisory' and g.pid = ${process.pid}`
  expect(ended).toHaveLength(1)
  const dead = () => starting`select from _db_gateway_gateways where died_at is not null`
  await expect.poll(async () => (await dead()).count, { timeout: 10_000 }).toBe(1)
  await sleep(3500)
  expect(await sessionsRunning(`${platform}_main`, 'nap')).toBe(1)
  expect(await answer).toMatchObject({ status: 200, body: { rows: [{ nap: 'slept' }] } })
  proxy.heal()
  await capacityBecomes(gateway, CAP / 2)
  expect(await pidOf()).toMatchObject([{ pid: before!.pid }])
}, 60_000)
