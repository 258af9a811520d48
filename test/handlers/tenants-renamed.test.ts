import { beforeEach, describe, expect, inject, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { startTwoGateways } from '../helpers/for-file.ts'
import {
  connectTo,
  type Json,
  queryDatabase,
  sessionsRunning,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, NOTES, pack, textFunction } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const FILES: Files = {
  ...NOTES,
  'functions/where_am_i.pssql': `
    create or replace function where_am_i() returns text language sql stable
    as $$ select current_database()::text $$;`,
  'functions/wait_for.pssql': `
    create or replace function wait_for(key integer) returns void language sql
    as $$ select pg_advisory_lock(key) $$;`,
}

const { gateway: one, other: two, query } = await startTwoGateways()
const archive = await pack(FILES)

let platform: string
beforeEach(async () => {
  platform = uniqueName('p')
  expect((await one.register(platform, archive, 'old')).body.status).toBe('ready')
})

const rename = (from: string, to: string, members: object = {}, gateway = one) =>
  gateway.post('/admin/rename-tenant', { platform, tenant_id: from, to, ...members })
const call = (gateway: TestGateway, tenant: string, name: string, params: unknown[] = []) =>
  gateway.call(platform, name, params, tenant)
const tenants = async (): Promise<Json[]> =>
  (await two.get(`/admin/tenants?platform=${platform}`)).body.tenants
const ids = async () => (await tenants()).map((one) => one.tenant_id)

describe('POST /admin/rename-tenant', () => {
  test('carries all that the tenant has; the old name is unknown on both gateways', async () => {
    await one.post('/admin/label-tenant', { platform, tenant_id: 'old', labels: { plan: 'pro' } })
    const key = { 'idempotency-key': '"once"' }
    const body = { platform, tenant_id: 'old', function: 'add_note', params: [1] }
    const first = await two.post('/call', body, key)
    expect([first.status, first.body.rows]).toEqual([200, [{ add_note: `${platform}_old` }]])

    const { status, body: renamed } = await rename('old', 'new')
    expect([status, renamed]).toEqual([
      200,
      expect.objectContaining({
        status: 'renamed',
        from: { tenant_id: 'old', database: `${platform}_old` },
        tenant_id: 'new',
        database: `${platform}_new`,
        state: 'active',
        labels: { plan: 'pro' },
        schema_checksum: expect.any(String),
      }),
    ])
    for (const gateway of [one, two]) {
      const answer = await call(gateway, 'new', 'where_am_i')
      expect([answer.status, answer.body.rows]).toEqual([200, [{ where_am_i: `${platform}_new` }]])
    }
    expect((await call(one, 'old', 'ping')).body.error).toBe('database_not_found')
    await eventually('the other gateway knows', async () => {
      return (await call(two, 'old', 'ping')).body.error === 'database_not_found'
    })
    const again = await one.post('/call', { ...body, tenant_id: 'new' }, key)
    expect(again.body.rows).toEqual(first.body.rows)
    expect((await call(one, 'new', 'count_notes')).body.rows).toEqual([{ count_notes: 1 }])

    const { deployments } = (await two.get(`/admin/deployments?platform=${platform}&tenant_id=new`))
      .body
    expect(deployments).toMatchObject([{ database: `${platform}_new`, status: 'completed' }])
    const { entries } = (await one.get(`/admin/audit?platform=${platform}&limit=1`)).body
    expect(entries).toMatchObject([
      {
        action: 'rename_tenant',
        tenant_id: 'old',
        databases: [`${platform}_old`, `${platform}_new`],
        summary: { to: 'new' },
        status: 200,
      },
    ])
    // The ledger's key depends on the name of the database.
    expect((await two.register(platform, archive, 'new')).body).toMatchObject({
      status: 'ready',
      migrations_applied: 0,
    })
    const changed = await pack({ ...FILES, ...textFunction('ping', 'new') })
    expect((await two.register(platform, changed, 'new')).body).toMatchObject({
      status: 'ready',
      functions_changed: 1,
    })
    expect((await call(one, 'new', 'ping')).body.rows).toEqual([{ ping: 'new' }])
    // The old name is free.
    expect((await one.register(platform, archive, 'old')).body.status).toBe('ready')
    expect((await call(two, 'old', 'count_notes')).body.rows).toEqual([{ count_notes: 0 }])
  })

  test('under load no write is lost or misrouted, and names may change places', async () => {
    expect((await two.register(platform, archive, 'b')).body.status).toBe('ready')
    const written = new Map<string, number>()
    const failures: Json[] = []
    let key = 0
    let isOver = false
    const caller = async (gateway: TestGateway, tenant: string) => {
      while (!isOver) {
        const { status, body } = await call(gateway, tenant, 'add_note', [key++])
        if (status === 200) {
          const { add_note } = body.rows[0]
          written.set(add_note, (written.get(add_note) ?? 0) + 1)
        } else if (body.error !== 'database_not_found') failures.push(body)
        else await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const callers = ['old', 'old', 'b', 'b', 'c'].flatMap((tenant) =>
      [one, two].map((gateway) => caller(gateway, tenant)),
    )
    const sum = () => [...written.values()].reduce((all, count) => all + count, 0)
    const more = (name: string) => {
      const before = sum()
      return eventually(name, () => sum() > before + 30)
    }
    await more('calls run')
    for (const [from, to, gateway] of [
      ['old', 'c', one],
      ['b', 'old', two],
      ['c', 'b', one],
    ] as const) {
      expect(await rename(from, to, {}, gateway)).toMatchObject({ status: 200 })
      await more('calls run again')
    }
    isOver = true
    await Promise.all(callers)
    expect(failures).toEqual([])
    expect(await ids()).toEqual(['b', 'old'])
    let kept = 0
    for (const tenant of ['b', 'old']) {
      kept += (await call(one, tenant, 'count_notes')).body.rows[0].count_notes
    }
    expect(kept).toBe(sum())
  })

  test('calls that are held follow the tenant', async () => {
    const holder = connectTo(`${platform}_old`)
    await holder`select pg_advisory_lock(7)`
    const running = call(two, 'old', 'wait_for', [7])
    await eventually('it runs', async () => {
      return (await sessionsRunning(`${platform}_old`, 'wait_for')) === 1
    })
    const renaming = rename('old', 'new')
    await eventually('calls are held', async () => {
      const [row] = await query(
        `select held_for from _db_gateway_databases where database = '${platform}_old'`,
      )
      return row?.held_for === 'rename'
    })
    const held = [one, two].map((gateway) => call(gateway, 'old', 'where_am_i'))
    await holder.end()
    expect([(await running).status, (await renaming).status]).toEqual([200, 200])
    for (const { status, body } of await Promise.all(held)) {
      expect([status, body.rows]).toEqual([200, [{ where_am_i: `${platform}_new` }]])
    }
  })

  test('a call whose gateway hears of it too late follows the tenant, once', async () => {
    const body = { platform, tenant_id: 'old' }
    const kinds: ((gateway: TestGateway) => Promise<Json>)[] = [
      (gateway) => gateway.post('/call', { ...body, function: 'where_am_i' }),
      (gateway) => gateway.get(`/call/${platform}/old/where_am_i`),
      (gateway) =>
        gateway.get(`/call/${platform}/old/where_am_i`, { accept: 'application/x-ndjson' }),
      (gateway) => gateway.post('/batch', { ...body, calls: [{ function: 'where_am_i' }] }),
      (gateway) =>
        gateway.post(
          '/call',
          { ...body, function: 'where_am_i' },
          { 'idempotency-key': uniqueName('k') },
        ),
    ]
    const [from, to] = [`${platform}_old`, `${platform}_new`]
    for (const ask of kinds) {
      expect((await ask(two)).status).toBe(200)
      two.gateway.pools.renew(from)
      one.gateway.pools.renew(from)
      // No notification tells the gateway.
      await query('alter table _db_gateway_databases disable trigger _db_gateway_notify')
      await eventually('it has no sessions', () =>
        query(`alter database ${from} rename to ${to}`).then(
          () => true,
          () => false,
        ),
      )
      await query(`update _db_gateway_databases set database = '${to}', tenant_id = 'new',
        renamed_from = '${from}', renamed_at = now() where database = '${from}'`)
      const answer = await ask(two)
      expect([answer.status, JSON.stringify(answer.body)]).toEqual([
        200,
        expect.stringContaining(to),
      ])
      expect((await ask(two)).status).toBe(404)
      await query(`alter table _db_gateway_databases enable trigger _db_gateway_notify`)
      expect((await rename('new', 'old')).status).toBe(200)
    }
  })

  test.each([
    ['made', () => one.register(platform, archive, 'old')],
    ['renamed', () => rename('other', 'old')],
  ])('a call of a dropped tenant, %s with the old name, follows nobody', async (how, make) => {
    if (how === 'renamed') await one.register(platform, archive, 'other')
    expect((await rename('old', 'new')).status).toBe(200)
    expect((await make()).status).toBeLessThan(300)
    expect((await call(two, 'old', 'where_am_i')).body.rows).toEqual([
      { where_am_i: `${platform}_old` },
    ])
    // No notification tells the gateway.
    await query('alter table _db_gateway_databases disable trigger _db_gateway_notify')
    const confirm = `${platform}_old`
    const body = { platform, tenant_id: 'old', confirm, dump: false }
    expect((await one.post('/admin/drop-tenant', body)).status).toBe(200)
    const answer = await call(two, 'old', 'where_am_i')
    await query('alter table _db_gateway_databases enable trigger _db_gateway_notify')
    expect([answer.status, answer.body.error]).toEqual([404, 'database_not_found'])
  })

  test('/migrate with only=failed knows it, and its copy, by the new name', async () => {
    const failing = (message: string) => ({
      ...FILES,
      'migrations/001_more.pgsql': `do $$ begin
        if current_database() ~ '_(old|new|copy)$' and to_regclass('mended') is null
        then raise exception '${message}'; end if; end $$;
        create table more (id integer primary key);`,
    })
    const next = await pack(failing('not yet'))
    expect((await one.register(platform, archive, 'fine')).status).toBe(200)
    const first = await one.migrate(platform, next, undefined, { on_error: 'continue' })
    expect(first.body.databases_updated).toEqual([`${platform}_fine`])
    await one.post('/admin/clone-tenant', { platform, tenant_id: 'old', to: 'copy' })
    expect((await rename('old', 'new')).status).toBe(200)
    const left = [`${platform}_copy`, `${platform}_new`]
    for (const database of left) await queryDatabase(database, 'create table mended ()')
    const again = await two.migrate(platform, next, undefined, { only: 'failed' })
    expect([again.status, again.body.databases_updated]).toEqual([200, left])
  })

  test('a call that goes on is 409 tenant_busy, and all calls run on', async () => {
    const holder = connectTo(`${platform}_old`)
    afterTest(() => holder.end())
    const [{ pid }] = (await holder`select pg_backend_pid() as pid`) as Json
    const renaming = rename('old', 'new')
    const { status, body } = await renaming
    expect([status, body.error]).toEqual([409, 'tenant_busy'])
    expect(body.sessions).toMatchObject([{ pid, state: 'idle' }])
    for (const gateway of [one, two]) expect((await call(gateway, 'old', 'ping')).status).toBe(200)
    expect(await ids()).toEqual(['old'])
  })

  test('a session of a superuser is in the way too', async (context) => {
    const superuser = inject('superuserUrl')
    if (!superuser) return context.skip()
    const database = `${platform}_old`
    const other = connectTo(database, 1, superuser)
    afterTest(() => other.end())
    const [{ pid }] = (await other`select pg_backend_pid() as pid`) as Json
    const { status, body } = await rename('old', 'new')
    expect([status, body.error]).toEqual([409, 'tenant_busy'])
    expect(body.sessions).toMatchObject([{ pid, role: 'postgres' }])
    expect((await call(two, 'old', 'ping')).status).toBe(200)
  })

  test('"hold": true answers calls 503 meanwhile', async () => {
    const holder = connectTo(`${platform}_old`)
    await holder`select 1`
    const renaming = rename('old', 'new', { hold: true })
    const refused = await eventually('calls are 503', async () => {
      const answer = await call(two, 'old', 'ping')
      return answer.status === 503 && answer
    })
    expect(refused.body).toMatchObject({
      error: 'tenant_suspended',
      message: `Tenant old of platform ${platform} is being renamed`,
    })
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    await holder.end()
    expect((await renaming).status).toBe(200)
    expect((await call(one, 'new', 'ping')).status).toBe(200)
  })

  test('a suspended tenant stays so, and a drop comes later', async () => {
    await one.post('/admin/suspend-tenant', { platform, tenant_id: 'old', message: 'pay' })
    const drop = { platform, tenant_id: 'old', confirm: `${platform}_old`, dump: false }
    expect((await one.post('/admin/drop-tenant', { ...drop, after_hours: 1 })).status).toBe(200)
    expect((await rename('old', 'new')).body).toMatchObject({ state: 'dropping', message: 'pay' })
    expect((await call(two, 'new', 'ping')).body.message).toBe('pay')
    await query(
      `update _db_gateway_databases set drop_at = now() where database = '${platform}_new'`,
    )
    await two.gateway.dueDrops.run()
    expect(await tenants()).toEqual([])
  })

  test('another spelling of the same name changes the catalog alone', async () => {
    expect((await rename('old', 'OLD')).body).toMatchObject({
      tenant_id: 'OLD',
      database: `${platform}_old`,
    })
    await eventually('both know', async () => {
      const answers = await Promise.all([one, two].map((gateway) => call(gateway, 'old', 'ping')))
      return answers.every(({ status }) => status === 404)
    })
    for (const gateway of [one, two]) expect((await call(gateway, 'OLD', 'ping')).status).toBe(200)
    const history = await two.get(`/admin/deployments?platform=${platform}&tenant_id=OLD`)
    expect(history.body.deployments).toHaveLength(1)
  })

  test('a tenant of a schema', async () => {
    const flags = { schema_name: 'hr', uuid: 'u1' }
    expect((await one.register(platform, archive, undefined, flags)).status).toBe(200)
    const { status, body } = await two.post('/admin/rename-tenant', {
      platform,
      ...flags,
      to: 'U-2',
    })
    expect([status, body]).toEqual([
      200,
      expect.objectContaining({
        tenant_id: 'u_2',
        schema_name: 'hr',
        database: `${platform}_hr_u_2`,
      }),
    ])
    const asked = { platform, schema_name: 'hr', function: 'ping' }
    expect((await one.post('/call', { ...asked, uuid: 'u-2' })).status).toBe(200)
    expect((await two.post('/call', { ...asked, uuid: 'u1' })).status).toBe(404)
  })

  test('a deploy that runs goes first', async () => {
    const slow = await pack({
      ...FILES,
      'migrations/1_slow.sql': 'select pg_sleep(0.7); create table slow (id integer);',
    })
    const deploying = two.register(platform, slow, 'old')
    await eventually('it runs', async () => {
      return (await sessionsRunning(`${platform}_old`, 'pg_sleep')) === 1
    })
    const renamed = await rename('old', 'new')
    const deployed = await deploying
    expect([renamed.status, deployed.body.status]).toEqual([200, 'ready'])
    expect((await two.register(platform, slow, 'new')).body).toMatchObject({
      status: 'ready',
      migrations_applied: 0,
    })
  })

  test('refuses other names and members', async () => {
    await one.post('/admin/create-tenant', { platform, tenant_id: 'taken' })
    for (const [members, status, message] of [
      [{ to: undefined }, 400, 'to is missing'],
      [{ to: 'old' }, 400, 'to is the name that the tenant has'],
      [{ to: 'main' }, 400, 'to "main" is reserved'],
      [{ to: 'a b' }, 400, 'to must be 1 to 63 letters'],
      [{ tenant_id: 'nobody' }, 404, 'has no database'],
      [{ to: 'taken' }, 409, 'already has the database'],
      [{ hold: 'yes' }, 400, 'hold must be true or false'],
    ] as const) {
      const { status: got, body } = await rename('old', 'new', members)
      expect([got, body.message]).toEqual([status, expect.stringContaining(message)])
    }
    expect((await call(one, 'old', 'ping')).status).toBe(200)
  })
})
