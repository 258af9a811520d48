import { execFile } from 'node:child_process'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, beforeEach, describe, expect, inject, type TestContext, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { findTools, restoreByHand } from '../helpers/dumps.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  sessionsRunning,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, NOTES, pack, textFunction } from '../helpers/platforms.ts'
import { eventually, startProcess, temporaryFolder } from '../helpers/process.ts'

const FILES: Files = {
  ...NOTES,
  'functions/add_late.pssql': `
    create or replace function add_late(key integer) returns void language plpgsql as $$
    begin
      perform pg_advisory_lock(key);
      insert into notes values (key, 'late');
    end $$;`,
}

const { url, gateway: one, other: two, query } = await startTwoGateways()
const archive = await pack(FILES)
// They look when a test says so.
for (const { gateway } of [one, two]) gateway.dueDrops.stop()

let platform: string
let database: string
let tenant: { platform: string; tenant_id: string }
beforeEach(async () => {
  platform = uniqueName('p')
  database = `${platform}_t`
  tenant = { platform, tenant_id: 't' }
  await one.register(platform, archive, 't')
})

const drop = (members: object = {}, gateway = one) =>
  gateway.post('/admin/drop-tenant', { ...tenant, confirm: database, dump: false, ...members })
const call = (gateway: TestGateway, name: string, params: unknown[] = []) =>
  gateway.call(platform, name, params, 't')
const tenants = async (): Promise<Json[]> =>
  (await two.get(`/admin/tenants?platform=${platform}`)).body.tenants
const exists = async (): Promise<boolean> =>
  (await query(`select from pg_database where datname = '${database}'`)).length > 0
const latest = async (): Promise<Json> =>
  (await one.get(`/admin/audit?platform=${platform}&limit=1`)).body.entries[0]

/** Begins a call that runs until the holder of its lock ends. */
async function callLate() {
  const holder = connectTo(database)
  await holder`select pg_advisory_lock(7)`
  const running = call(two, 'add_late', [7])
  await eventually('it runs', async () => (await sessionsRunning(database, 'add_late')) === 1)
  return { holder, running }
}

/** Makes a superuser the database's owner, so that its drop fails. Returns what takes that back. */
async function giveToSuperuser({ skip }: TestContext): Promise<() => Promise<unknown>> {
  const superuser = inject('superuserUrl')
  if (!superuser) return skip()
  const own = (role: string) =>
    queryDatabase('postgres', `alter database ${database} owner to ${role}`, {
      asGateway: true,
      url: superuser,
    })
  await own('current_user')
  return () => own(`gw_${platform}`)
}

describe('POST /admin/drop-tenant', () => {
  test('drops the database, on all gateways, and the tenant can be made anew', async () => {
    expect((await call(two, 'ping')).status).toBe(200)
    const { status, body } = await drop()
    expect([status, body]).toEqual([200, { status: 'dropped', ...tenant, database, dump: null }])
    expect([await exists(), await tenants()]).toEqual([false, []])
    expect((await call(one, 'ping')).body.error).toBe('database_not_found')
    await eventually('the other gateway knows', async () => {
      return (await call(two, 'ping')).body.error === 'database_not_found'
    })
    expect(await latest()).toMatchObject({
      action: 'drop_tenant',
      tenant_id: 't',
      databases: [database],
      status: 200,
      summary: { dump: false, dropped: true },
    })
    expect((await drop()).status).toBe(404)
    expect((await two.post('/admin/create-tenant', tenant)).status).toBe(201)
    expect((await one.register(platform, archive, 't')).body.status).toBe('ready')
    expect((await call(two, 'count_notes')).body.rows).toEqual([{ count_notes: 0 }])
  })

  test('under load no call is lost: it ran, or was refused because of the drop', async () => {
    await one.register(platform, archive, 'other')
    const outcomes = new Map<string, number>()
    const others = new Set<number>()
    let isOver = false
    const caller = async (gateway: TestGateway) => {
      while (!isOver) {
        const { status, body } = await call(gateway, 'ping')
        const outcome = status === 200 ? JSON.stringify(body.rows) : body.error
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
        others.add((await gateway.call(platform, 'ping', [], 'other')).status)
      }
    }
    const callers = [one, one, one, two, two, two].map(caller)
    await eventually('calls run', async () => (outcomes.get('[{"ping":"pong"}]') ?? 0) > 50)
    expect((await drop()).status).toBe(200)
    await eventually('all know', async () => (outcomes.get('database_not_found') ?? 0) > 20)
    isOver = true
    await Promise.all(callers)
    expect([...outcomes.keys()].sort()).toEqual([
      '[{"ping":"pong"}]',
      'database_not_found',
      'tenant_suspended',
    ])
    expect([...others]).toEqual([200])
  })

  test('a call that runs finishes before the drop', async () => {
    const { holder, running } = await callLate()
    const dropping = drop()
    await eventually('it is suspended', async () => {
      return (await call(one, 'ping')).body.error === 'tenant_suspended'
    })
    expect((await tenants())[0].state).toBe('dropping')
    expect((await drop({ after_hours: 1 }, two)).body.error).toBe('tenant_busy')
    const busy = await two.post('/admin/resume-tenant', tenant)
    expect([busy.status, busy.body.error]).toEqual([409, 'tenant_busy'])
    await holder.end()
    expect([(await running).status, (await dropping).status]).toEqual([200, 200])
    expect(await exists()).toBe(false)
  })

  test('what a killed gateway has begun, another one ends', async () => {
    const killed = await startProcess({ DATABASE_URL: url, GATEWAY_PORT: '0' })
    await killed.url()
    const { holder, running } = await callLate()
    const body = { ...tenant, confirm: database, dump: false }
    const dropping = killed.post('/admin/drop-tenant', body).catch(() => 'cut')
    await eventually('the drop has begun', async () => (await tenants())[0].state === 'dropping')
    killed.kill('SIGKILL')
    expect(await dropping).toBe('cut')
    await holder.end()
    expect((await running).status).toBe(200)
    await eventually('another one has dropped it', async () => {
      await two.gateway.dueDrops.run()
      return !(await exists())
    })
    expect(await tenants()).toEqual([])
  })

  test('where its platform has made it a template, it is dropped', async () => {
    await query(`alter database ${database} is_template true`)
    expect((await drop()).body).toMatchObject({ status: 'dropped', database })
    expect([await exists(), await tenants()]).toEqual([false, []])
  })

  test('where it fails, the tenant is as before', async (context) => {
    const takeBack = await giveToSuperuser(context)
    const { status, body } = await drop()
    expect([status, body.error]).toEqual([403, 'query_failed'])
    expect(body.message).toBe(`must be owner of database ${database}`)
    await takeBack()
    expect((await call(one, 'ping')).status).toBe(200)
    expect((await tenants())[0]).toMatchObject({ state: 'active' })
    expect(await latest()).toMatchObject({ action: 'drop_tenant', error: 'query_failed' })
  })

  test('where it fails after the database is gone, it stays due, and a gateway ends it', async () => {
    await query(`
      create function refuse() returns trigger language plpgsql
      as $$ begin raise exception 'not now'; end $$;
      create trigger refuse before delete on _db_gateway_databases
      for each row execute function refuse()`)
    try {
      expect((await drop()).body).toMatchObject({ error: 'query_failed', message: 'not now' })
    } finally {
      await query('drop function refuse cascade')
    }
    expect([await exists(), (await tenants())[0].state]).toEqual([false, 'dropping'])
    await two.gateway.dueDrops.run()
    expect(await tenants()).toEqual([])
  })

  test('where it fails, a suspension that was made meanwhile stays', async (context) => {
    const { holder, running } = await callLate()
    const takeBack = await giveToSuperuser(context)
    const dropping = drop()
    await eventually('the drop has begun', async () => (await tenants())[0].state === 'dropping')
    const suspended = await two.post('/admin/suspend-tenant', { ...tenant, message: 'unpaid' })
    expect(suspended.status).toBe(200)
    await holder.end()
    expect([(await running).status, (await dropping).body.error]).toEqual([200, 'query_failed'])
    await takeBack()
    expect((await tenants())[0]).toMatchObject({ state: 'suspended', message: 'unpaid' })
    expect((await call(two, 'ping')).body).toMatchObject({ error: 'tenant_suspended' })
  })

  test('a session that the gateway may not end is 409 tenant_busy, and calls run on', async (context) => {
    const superuser = inject('superuserUrl')
    if (!superuser) return context.skip()
    const other = connectTo(database, 1, superuser)
    afterTest(() => other.end())
    const [{ pid }] = (await other`select pg_backend_pid() as pid`) as Json
    const { status, body } = await drop()
    expect([status, body.error]).toEqual([409, 'tenant_busy'])
    expect(body.sessions).toMatchObject([{ pid, role: 'postgres' }])
    expect((await call(one, 'ping')).status).toBe(200)
  })

  test('a tenant whose database was dropped by hand goes too', async () => {
    await dropDatabase(database)
    expect((await drop()).status).toBe(200)
    expect(await tenants()).toEqual([])
  })

  test.each([
    [{ confirm: undefined }, 400, 'confirm is missing'],
    [{ confirm: 'p_t' }, 400, 'confirm is not the name of the database'],
    [{ tenant_id: undefined }, 400, 'tenant_id is missing'],
    [{ tenant_id: 'nobody' }, 404, 'has no database'],
    [{ dump: 'no' }, 400, 'dump must be true or false'],
    [{ after_hours: -1 }, 400, 'after_hours must be a number from 0'],
  ])('refuses %j', async (members, status, message) => {
    const answer = await drop(members)
    expect([answer.status, answer.body.message]).toEqual([status, expect.stringContaining(message)])
    expect((await call(one, 'ping')).status).toBe(200)
  })
})

describe('with a dump', () => {
  /** Folder of pg_dump; undefined where none of the server's version is installed. */
  let tools: string | undefined
  beforeAll(async () => {
    tools = await findTools()
  })

  test('it is kept in DUMP_DIR and restores; without pg_dump nothing is dropped', async () => {
    const folder = join(await temporaryFolder(), 'dumps')
    const gateway = await startTestGateway({ DATABASE_URL: url, DUMP_DIR: folder })
    afterTest(() => gateway.stop())
    await call(one, 'add_note', [1])
    const { status, body } = await drop({ dump: undefined }, gateway)
    if (!tools) {
      expect([status, body.error]).toEqual([501, 'dump_not_available'])
      expect(body.message).toContain('"dump": false')
      expect((await drop({ dump: true, after_hours: 1 }, gateway)).status).toBe(501)
      expect((await call(one, 'count_notes')).body.rows).toEqual([{ count_notes: 1 }])
      return
    }
    expect([status, body]).toEqual([
      200,
      {
        status: 'dropped',
        ...tenant,
        database,
        dump: {
          file: expect.stringContaining(join(folder, `${database}_`)),
          size_bytes: expect.any(Number),
          kept_until: expect.any(String),
        },
      },
    ])
    const { file, size_bytes, kept_until } = body.dump
    const { size, mode } = await stat(file)
    expect([size, mode & 0o777]).toEqual([size_bytes, 0o600])
    expect(await readdir(folder)).toHaveLength(1)
    const days = (Date.parse(kept_until) - Date.now()) / (24 * 60 * 60 * 1000)
    expect(Math.round(days)).toBe(30)
    expect(await latest()).toMatchObject({ summary: { dump: file, dump_bytes: size } })

    await restoreByHand(tools, database, file)
    const again = await one.register(platform, archive, 't')
    expect(again.body).toMatchObject({ status: 'ready', migrations_applied: 0 })
    expect((await call(one, 'count_notes')).body.rows).toEqual([{ count_notes: 1 }])
    const changed = await pack({ ...FILES, ...textFunction('ping', 'new') })
    const next = await one.register(platform, changed, 't')
    expect(next.body).toMatchObject({ status: 'ready', functions_changed: 1 })
  })

  test('that fails, nothing is dropped', async () => {
    if (!tools) {
      // There is none that could fail.
      expect((await drop({ dump: true })).body.error).toBe('dump_not_available')
      return
    }
    const gateway = await startTestGateway({ DATABASE_URL: url, DUMP_DIR: '/dev/null/dumps' })
    afterTest(() => gateway.stop())
    const { status, body } = await drop({ dump: true }, gateway)
    expect([status, body.error]).toEqual([500, 'dump_failed'])
    expect(body.cause).toContain('ENOTDIR')
    expect((await call(one, 'ping')).status).toBe(200)
  })

  test('beside a table that a superuser has locked is 409 in time, and nothing is dropped', async (context) => {
    // The gateway's role may not end a superuser's session.
    const superuserUrl = inject('superuserUrl')
    if (!tools || !superuserUrl) return context.skip()
    const folder = await temporaryFolder()
    const gateway = await startTestGateway({
      DATABASE_URL: url,
      DUMP_DIR: folder,
      STATEMENT_TIMEOUT_SECS: '1',
      LOCK_TIMEOUT_SECS: '1',
    })
    afterTest(() => gateway.stop())
    const superuser = connectTo(database, 1, superuserUrl)
    afterTest(() => superuser.end())
    await superuser.unsafe('begin; lock table notes')
    const { status, body } = await drop({ dump: true }, gateway)
    expect([status, body.error]).toEqual([409, 'tenant_busy'])
    await superuser.unsafe('rollback')
    expect([await readdir(folder), (await tenants())[0].state]).toEqual([[], 'active'])
    expect((await call(one, 'ping')).status).toBe(200)
  })

  test('that does not fit on the disk says so', async () => {
    const folder = await temporaryFolder()
    const settings = { DATABASE_URL: url, GATEWAY_PORT: '0', DUMP_DIR: join(folder, 'dumps') }
    const gateway = await startProcess(settings)
    afterTest(() => gateway.kill('SIGKILL'))
    await gateway.url()
    // A limit of the size of files, which a write exceeds as it does the disk.
    await promisify(execFile)('prlimit', ['--pid', `${gateway.pid}`, '--fsize=2048'])
    const confirmed = { ...tenant, confirm: database, dump: true }
    const { status, body } = await gateway.post('/admin/drop-tenant', confirmed)
    if (!tools) return expect(body.error).toBe('dump_not_available')
    expect([status, body.error]).toEqual([500, 'dump_failed'])
    expect(body.cause).toContain('EFBIG')
    expect(await readdir(join(folder, 'dumps'))).toEqual([])
    expect((await call(one, 'ping')).status).toBe(200)
  })
})

describe('"after_hours"', () => {
  test('suspends now, and another gateway drops when the time has come', async () => {
    const { status, body } = await drop({ after_hours: 48 })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({ status: 'dropping', state: 'dropping', dump: false }),
    ])
    const hours = (Date.parse(body.drop_at) - Date.now()) / (60 * 60 * 1000)
    expect(Math.round(hours)).toBe(48)
    expect((await call(one, 'ping')).body.error).toBe('tenant_suspended')
    await two.gateway.dueDrops.run()
    expect(await exists()).toBe(true)
    expect((await one.register(platform, archive, 't')).status).toBe(200)

    await makeDue()
    await Promise.all([one.gateway.dueDrops.run(), two.gateway.dueDrops.run()])
    expect([await exists(), await tenants()]).toEqual([false, []])
    expect(await latest()).toMatchObject({
      action: 'drop_tenant',
      method: '',
      tenant_id: 't',
      databases: [database],
      status: 200,
      summary: { dropped: true, due_at: expect.any(String) },
    })
  })

  test('is taken back by /admin/resume-tenant', async () => {
    await drop({ after_hours: 0.5 })
    const list = (await one.get(`/admin/tenants?platform=${platform}&state=dropping`)).body.tenants
    expect(list).toMatchObject([{ tenant_id: 't', drop_at: expect.any(String) }])
    const { status, body } = await two.post('/admin/resume-tenant', tenant)
    expect([status, body.state, 'drop_at' in body]).toEqual([200, 'active', false])
    expect((await call(two, 'ping')).status).toBe(200)
    await one.gateway.dueDrops.run()
    expect(await exists()).toBe(true)
  })

  test('is taken back while it is due and no gateway has begun', async () => {
    await drop({ after_hours: 1 })
    await makeDue()
    expect((await one.post('/admin/resume-tenant', tenant)).status).toBe(200)
    await two.gateway.dueDrops.run()
    expect(await exists()).toBe(true)
  })

  test('a drop that fails is tried again, and the log says it once', async (context) => {
    await drop({ after_hours: 1 })
    await makeDue()
    const takeBack = await giveToSuperuser(context)
    await two.gateway.dueDrops.run()
    await two.gateway.dueDrops.run()
    const warnings = two.logged.filter((line) => line.database === database && line.cause)
    expect(warnings).toHaveLength(1)
    expect(warnings[0].cause).toContain('must be owner of database')
    expect((await tenants())[0].state).toBe('dropping')
    await takeBack()
    await two.gateway.dueDrops.run()
    expect(await exists()).toBe(false)
  })

  const makeDue = () =>
    query(`update _db_gateway_databases set drop_at = now() where database = '${database}'`)
})
