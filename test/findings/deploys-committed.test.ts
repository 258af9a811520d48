import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '4' })
})
afterAll(() => gateway.stop())

const rolesOf = async (platforms: string[]) => {
  const rows = await queryDatabase(
    gateway.server.database,
    `select owner_role from _db_gateway_databases
     where platform in (${platforms.map((one) => `'${one}'`).join(', ')})`,
    { asGateway: true },
  )
  return rows.map(({ owner_role }) => owner_role)
}

describe('no two platforms have one role', () => {
  test('a platform that is named as the role of a long one is', async () => {
    const long = uniqueName('long').padEnd(61, 'x')
    const hash = createHash('sha256').update(long).digest('hex').slice(0, 16)
    const alike = `${`gw_${long}`.slice(3, 46)}_${hash}`
    const archive = await pack(textFunction('motto', 'm'))
    expect((await gateway.register(long, archive, 'a')).status).toBe(200)
    expect((await gateway.register(alike, archive, 'b')).status).toBe(200)
    const roles = await rolesOf([long, alike])
    expect(new Set(roles).size).toBe(2)
  })
})

describe('an old container does no harm to a tenant that was born with the new archive', () => {
  test('the archive that came to the platform first is older there, too', async () => {
    const platform = uniqueName('born')
    const first = await pack({
      'migrations/001_t.sql': 'create table t (id int);',
      ...textFunction('motto', 'first'),
    })
    const second = await pack({
      'migrations/001_t.sql': 'create table t (id int);',
      ...textFunction('motto', 'second'),
      ...textFunction('more', 'm'),
    })
    expect((await gateway.register(platform, first)).status).toBe(200)
    expect((await gateway.register(platform, second, 'young')).status).toBe(200)
    const late = await gateway.register(platform, first, 'young')
    expect(late).toMatchObject({ status: 200, body: { superseded: true } })
    expect((await gateway.call(platform, 'more', [], 'young')).status).toBe(200)
    // What came last is deployed to what has the first.
    expect((await gateway.register(platform, second)).body).not.toHaveProperty('superseded', true)
    const asked = await gateway.register(platform, first, 'young', { allow: 'older' })
    expect(asked.status).toBe(200)
    const { body } = await gateway.call(platform, 'motto', [], 'young')
    expect(body.rows).toEqual([{ motto: 'first' }])
  })
})

describe('a database in which nothing was is never asked', () => {
  test.each([
    ['a no-transaction file', '-- gateway: no-transaction\ncreate index on t (id);'],
    ['a new enum value', "alter type st add value 'b'; create index on t (id);"],
  ])('create-tenant, then a release with %s before a drop', async (_, middle) => {
    const platform = uniqueName('empty')
    const created = await gateway.post('/admin/create-tenant', { platform, tenant_id: 'a' })
    expect(created.status).toBe(201)
    const archive = await pack({
      'migrations/001_t.sql':
        "create table t (id int); create type st as enum ('a'); insert into t values (1);",
      'migrations/002_i.sql': middle,
      'migrations/003_d.sql': 'drop table t;',
    })
    expect(await gateway.register(platform, archive, 'a')).toMatchObject({ status: 200 })
  })

  test('what somebody put there is asked about', async () => {
    const platform = uniqueName('filled')
    await gateway.post('/admin/create-tenant', { platform, tenant_id: 'a' })
    await queryDatabase(`${platform}_a`, 'create table own (id int)')
    await queryDatabase(`${platform}_a`, 'insert into own values (1)')
    const archive = await pack({ 'migrations/001_d.sql': 'drop table own;' })
    expect(await gateway.register(platform, archive, 'a')).toMatchObject({
      status: 409,
      body: { error: 'data_loss' },
    })
  })

  test('S26: the plan of a new database is of the archive alone', async () => {
    const archive = await pack({ 'migrations/001_t.sql': 'create table t (id int);' })
    const { body } = await gateway.register(uniqueName('plan'), archive, undefined, {
      dry_run: 'true',
    })
    expect(JSON.stringify(body)).toContain('table_created')
    expect(JSON.stringify(body)).not.toContain('_db_gateway')
  })
})

describe('a deploy that fails says which migrations are committed', () => {
  test('in its answer, and in its row', async () => {
    const platform = uniqueName('partly')
    const files = { 'migrations/001_t.sql': 'create table t (id int);' }
    expect((await gateway.register(platform, await pack(files))).status).toBe(200)
    const archive = await pack({
      ...files,
      'migrations/002_a.sql': 'create table a (id int);',
      'migrations/003_n.sql': '-- gateway: no-transaction\ncreate table n (id int);',
      'migrations/004_e.sql': 'selekt;',
    })
    const failed = await gateway.register(platform, archive)
    expect(failed).toMatchObject({
      status: 422,
      body: { file: 'migrations/004_e.sql', migrations_committed: ['002_a.sql', '003_n.sql'] },
    })
    const [row] = await queryDatabase(
      `${platform}_main`,
      'select status, migrations_applied from _db_gateway_deployments order by id desc limit 1',
    )
    expect(row).toEqual({ status: 'failed', migrations_applied: ['002_a.sql', '003_n.sql'] })
  })

  test('what is committed ahead of a no-transaction file that fails itself, too', async () => {
    const platform = uniqueName('partly')
    const code = textFunction('m', 'm')
    expect((await gateway.register(platform, await pack(code))).status).toBe(200)
    const archive = await pack({
      ...code,
      'migrations/001_a.sql': 'create table a (id int);',
      'migrations/002_n.sql': '-- gateway: no-transaction\nselect 1/0;',
    })
    const failed = await gateway.register(platform, archive)
    expect(failed.body).toMatchObject({ migrations_committed: ['001_a.sql'] })
  })
})

describe('what a migration leaves of its session', () => {
  test('deallocate all is refused, with its line', async () => {
    const archive = await pack({
      'migrations/001_d.sql': 'create table t (id int);\ndeallocate all;',
    })
    const { status, body } = await gateway.register(uniqueName('dealloc'), archive)
    expect({ status, file: body.file, line: body.line }).toEqual({
      status: 422,
      file: 'migrations/001_d.sql',
      line: 2,
    })
    expect(body.cause).toContain('DEALLOCATE ALL')
  })

  test.each(['set transaction read only;', 'set transaction_read_only = on;'])(
    '%s is named where it stands (S24)',
    async (text) => {
      const archive = await pack({
        'migrations/001_r.sql': `create table t (id int); ${text}`,
        'migrations/002_t.sql': 'create table u (id int);',
        ...textFunction('motto', 'm'),
      })
      const { status, body } = await gateway.register(uniqueName('ro'), archive)
      expect({ status, file: body.file }).toEqual({ status: 422, file: 'migrations/001_r.sql' })
      expect(body.cause).toContain('read-only')
      expect(body.hint).toContain('SET TRANSACTION')
    },
  )

  test('the hint of an isolation level does not send out of the transaction (S24)', async () => {
    const archive = await pack({
      'migrations/001_r.sql':
        'create table t (id int); set transaction isolation level serializable;',
    })
    const { status, body } = await gateway.register(uniqueName('iso'), archive)
    expect(status).toBe(422)
    expect(body.hint).not.toContain('no-transaction')
  })
})

describe('failed rows', () => {
  test('are kept to a bound, and looked past by index', async () => {
    const platform = uniqueName('rows')
    const good = { 'migrations/001_t.sql': 'create table t (id int);' }
    expect((await gateway.register(platform, await pack(good))).status).toBe(200)
    const database = `${platform}_main`
    await queryDatabase(
      database,
      `insert into _db_gateway_deployments
         (status, archive_checksum, request_id, address, execution_time_ms)
       select 'failed', 'x', i::text, '', 0 from generate_series(1, 3000) i`,
      { asGateway: true },
    )
    const bad = await pack({ ...good, 'migrations/002_b.sql': 'selekt;' })
    expect((await gateway.register(platform, bad)).status).toBe(422)
    const [rows] = await queryDatabase(
      database,
      `select count(*) filter (where status = 'failed')::int as failed,
         count(*) filter (where status = 'completed')::int as completed,
         max(id) filter (where status = 'failed') = max(id) as has_last
       from _db_gateway_deployments`,
    )
    expect(rows).toEqual({ failed: 1000, completed: 1, has_last: true })
    const [index] = await queryDatabase(
      database,
      `select indexdef from pg_indexes
       where tablename = '_db_gateway_deployments' and indexdef like '%(status, id)'`,
    )
    expect(index).toBeDefined()
  })
})

describe('files that undo a migration never run', () => {
  test.each([
    ['sqitch', { 'deploy/a.sql': 1, 'revert/a.sql': 0, 'verify/a.sql': 0 }],
    ['Flyway', { 'V1__a.sql': 1, 'U1__a.sql': 0, 'V2.1__b.sql': 1, 'U2.1__b.sql': 0 }],
    ['a folder', { '001_a.sql': 1, 'rollback/001_a.sql': 0, 'undo/001.sql': 0 }],
    ['a suffix', { '001_a.sql': 1, '001_a_rollback.sql': 0, '001_a.undo.sql': 0 }],
    ['up and down folders', { 'up/001_a.sql': 1, 'down/001_a.sql': 0 }],
  ])('%s', async (_, kinds) => {
    const platform = uniqueName('undo')
    const files = Object.entries(kinds).map(([name, isUp], number) => [
      `migrations/${name}`,
      isUp ? `create table t${number} (id int);` : 'select 1/0;',
    ])
    const { status, body } = await gateway.register(platform, await pack(Object.fromEntries(files)))
    expect(status).toBe(200)
    const ups = Object.entries(kinds).filter(([, isUp]) => isUp)
    expect(body.migrations_applied).toBe(ups.length)
    for (const [name, isUp] of Object.entries(kinds)) {
      if (!isUp) expect(body.warnings.join()).toContain(name)
    }
  })

  test('what only sounds alike runs', async () => {
    const archive = await pack({
      'migrations/001_a.sql': 'create table a (id int);',
      'migrations/002_rollback.sql': 'create table b (id int);',
      'migrations/verify/003_c.sql': 'create table c (id int);',
      'migrations/U_turn.sql': 'create table d (id int);',
    })
    const { body } = await gateway.register(uniqueName('alike'), archive)
    expect(body.migrations_applied).toBe(4)
  })
})

describe('a concurrent index that fails', () => {
  test('leaves nothing invalid behind', async () => {
    const platform = uniqueName('cic')
    const files = {
      'migrations/001_t.sql': 'create table t (i int); insert into t values (1), (1);',
    }
    expect((await gateway.register(platform, await pack(files))).status).toBe(200)
    const archive = await pack({
      ...files,
      'migrations/002_u.sql':
        '-- gateway: no-transaction\ncreate unique index concurrently u on t (i);',
    })
    const failed = await gateway.register(platform, archive)
    expect(failed).toMatchObject({ status: 422, body: { sqlstate: '23505' } })
    const [row] = await queryDatabase(`${platform}_main`, "select to_regclass('u') as u")
    expect(row).toEqual({ u: null })
  })
})
