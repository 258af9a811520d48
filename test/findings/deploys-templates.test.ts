import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sendLook } from '../../lib/call/signatures/look.ts'
import { templateName } from '../../lib/deploy/templates/names.ts'
import {
  connectTo,
  databaseUrlOf,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { startProcess, until } from '../helpers/process.ts'

// Every release proves that a new tenant can be made; new tenants are copies of that proof.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ TEMPLATES: 'on' })
})
afterAll(() => gateway.stop())

const BASE: Files = {
  'migrations/001_base.pssql': `
    create table item (id serial primary key, name text not null, made_at timestamptz default now());
    create table kind (id serial primary key, name text not null);
    create index item_name on item (name);
  `,
  'seeders/kinds.pssql': `insert into kind (name) values ('a'), ('b');`,
  ...textFunction('motto', 'first'),
}

/** A release that works where the release before it was, and nowhere else. */
const ONLY_AFTER: Files = {
  ...BASE,
  'migrations/001_base.pssql': BASE['migrations/001_base.pssql']!,
  'migrations/002_next.pssql': `insert into kind (id, name)\nselect 1000 / count(*), 'c' from item;`,
}

async function templatesOf(platform: string): Promise<Json[]> {
  return queryDatabase(
    gateway.server.database,
    `select t.*, exists (select from pg_database d where d.datname = t.database) as is_there
     from _db_gateway_templates t where platform = '${platform}' order by built_at`,
    { asGateway: true },
  )
}

/** Waits until the templates of the platform are as they are to be, with `count` of them. */
async function settled(platform: string, count: number): Promise<Json[]> {
  let rows: Json[] = []
  await until(async () => {
    rows = await templatesOf(platform)
    return (
      rows.length === count &&
      rows.every(({ state, deployed_at }) => state !== 'unfinished' && deployed_at !== null)
    )
  })
  return rows
}

const oids = (database: string) =>
  queryDatabase(database, `select 'kind'::regclass::oid, min(xmin::text) from kind`)

/** The print by which databases with the same objects know each other. */
async function printOf(database: string): Promise<string> {
  const sql = connectTo(database)
  try {
    await sql.unsafe('begin')
    return (await sendLook(sql)).print
  } finally {
    await sql.end()
  }
}

describe('a new platform', () => {
  test('has a template afterwards, which is hidden, and new tenants are copies of it', async () => {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    const first = await gateway.register(platform, archive)
    expect(first.body).toMatchObject({ status: 'ready', warnings: [] })
    const [template] = await settled(platform, 1)
    expect(template).toMatchObject({ state: 'ready', generates: null, is_there: true })
    expect(template.checksum).toBe(first.body.checksum)
    const { body } = await gateway.get(`/admin/databases?platform=${platform}`)
    expect(body.databases.map(({ name }: Json) => name)).toEqual([`${platform}_main`])
    const [row] = await queryDatabase(
      template.database,
      `select datallowconn, not datistemplate as plain, datdba::regrole::text = current_user as own,
         has_database_privilege('gw_${platform}', datname, 'connect') as may_connect
       from pg_database where datname = current_database()`,
      { asGateway: true },
    )
    expect(row).toEqual({ datallowconn: true, plain: true, own: true, may_connect: false })

    const tenant = await gateway.register(platform, archive, 'north')
    expect(tenant.body).toMatchObject({
      status: 'ready',
      database: `${platform}_north`,
      migrations_applied: 1,
      functions_deployed: 1,
      functions_changed: 1,
      seeders_applied: 1,
      checksum: first.body.checksum,
    })
    // The rows of a copy are those of the template, to the transaction that wrote them.
    expect(await oids(`${platform}_north`)).toEqual(await oids(template.database))
    expect((await gateway.call(platform, 'motto', [], 'north')).body.rows).toEqual([
      { motto: 'first' },
    ])
    const again = await gateway.register(platform, archive, 'north')
    expect(again.body).toMatchObject({ status: 'ready', migrations_applied: 0 })
    // It takes deploys of its own, whose ledger has one row for the first.
    const next = await pack({ ...BASE, ...textFunction('motto', 'second') })
    expect((await gateway.register(platform, next, 'north')).body).toMatchObject({
      functions_changed: 1,
    })
    expect((await gateway.call(platform, 'motto', [], 'north')).body.rows).toEqual([
      { motto: 'second' },
    ])
    const deployments = await queryDatabase(
      `${platform}_north`,
      'select request_id from _db_gateway_deployments order by id',
    )
    expect(deployments).toHaveLength(2)
    expect(deployments[0].request_id).toBe(tenant.headers.get('x-request-id'))
    const listed = await gateway.get(`/admin/deployments?platform=${platform}`)
    expect(
      listed.body.deployments.map(({ database, request_id }: Json) => [database, request_id]),
    ).toEqual([
      [`${platform}_north`, expect.any(String)],
      [`${platform}_north`, tenant.headers.get('x-request-id')],
      [`${platform}_main`, first.headers.get('x-request-id')],
    ])
    const [owners] = await queryDatabase(
      `${platform}_north`,
      `select pg_get_userbyid(datdba) as db, pg_get_userbyid(relowner) as item,
         has_database_privilege('public', datname, 'connect') as open
       from pg_database, pg_class where datname = current_database() and relname = 'item'`,
    )
    expect(owners).toEqual({ db: `gw_${platform}`, item: `gw_${platform}`, open: false })
  })

  test.each([
    ['a volatile function', `insert into kind (name) values (gen_random_uuid()::text);`],
    ['the time', `insert into kind (name) values (current_date::text);`],
    ['the time in a text', `insert into kind (name) select ('now'::timestamptz)::text;`],
    ['the name of the database', `insert into kind (name) values (current_database());`],
    ['a default of the table', `insert into item (name) values ('x');`],
    ['dynamic SQL', `do $$ begin execute 'insert into kind (name) values (1)'; end $$;`],
    ['a block', `do $$ begin insert into kind (name) values (random()::text); end $$;`],
    ['a function of its own', `insert into kind (name) values (motto());`],
  ])('runs its files for each tenant where they make values: %s', async (_, seeder) => {
    const platform = uniqueName('tpl')
    const archive = await pack({
      ...BASE,
      'seeders/kinds.pssql': seeder,
      'functions/motto.pssql':
        'create or replace function motto() returns text language sql as $$ select clock_timestamp()::text $$;',
    })
    expect((await gateway.register(platform, archive)).body).toMatchObject({ status: 'ready' })
    const [template] = await settled(platform, 1)
    expect(template.generates).toMatch(/^(seeders\/kinds|item, a default or trigger)/)
    await gateway.register(platform, archive, 'north')
    expect(await oids(`${platform}_north`)).not.toEqual(await oids(template.database))
  })

  test.each([
    ['nextval', `insert into kind (name) values (nextval('kind_id_seq')::text);`],
    ['what is fixed', `insert into kind (name) values (upper('x')), (to_char(1, '9'));`],
    [
      'a block that only looks',
      `do $$ begin if not exists (select from kind) then insert into kind (name) values ('x'); end if; end $$;`,
    ],
    ['now() in a default of another table', `alter table item alter made_at set default now();`],
  ])('copies where they make none: %s', async (_, seeder) => {
    const platform = uniqueName('tpl')
    const archive = await pack({ ...BASE, 'seeders/kinds.pssql': seeder })
    expect((await gateway.register(platform, archive)).body).toMatchObject({ status: 'ready' })
    const [template] = await settled(platform, 1)
    expect(template.generates).toBeNull()
  })
})

describe('a release', () => {
  test('that new tenants cannot be made with is deployed, with a warning that has the place', async () => {
    const platform = uniqueName('tpl')
    await gateway.register(platform, await pack(BASE))
    await settled(platform, 1)
    await queryDatabase(`${platform}_main`, `insert into item (name) values ('x')`)
    const { body } = await gateway.register(platform, await pack(ONLY_AFTER))
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    expect(body.warnings).toEqual([
      expect.stringMatching(
        /^new_tenants_fail: migrations\/002_next.pssql, line 1: .*division by zero/,
      ),
    ])
    // It is said of every database that comes to it, and to /migrate.
    await queryDatabase(gateway.server.database, 'select 1', { asGateway: true })
    const migrated = await gateway.migrate(platform, await pack(ONLY_AFTER))
    expect(migrated.body.warnings).toEqual(body.warnings)
    const rows = await settled(platform, 2)
    expect(rows.map(({ state, is_there }) => [state, is_there])).toEqual([
      ['ready', true],
      ['failed', false],
    ])
  })

  test('with strict=true, nothing is touched then', async () => {
    const platform = uniqueName('tpl')
    await gateway.register(platform, await pack(BASE))
    await queryDatabase(`${platform}_main`, `insert into item (name) values ('x')`)
    const archive = await pack(ONLY_AFTER)
    for (const send of [gateway.register, gateway.migrate]) {
      const { status, body } = await send(platform, archive, undefined, { strict: 'true' })
      expect([status, body]).toMatchObject([
        422,
        {
          error: 'new_tenants_fail',
          file: 'migrations/002_next.pssql',
          line: 1,
          cause: 'division by zero',
          failed: 'migration_failed',
        },
      ])
    }
    expect(await queryDatabase(`${platform}_main`, 'select from kind')).toHaveLength(2)
    const good = await pack({ ...BASE, ...textFunction('other', 'x') })
    const { body } = await gateway.migrate(platform, good, undefined, { strict: 'true' })
    expect(body).toMatchObject({ status: 'completed', warnings: [] })
  })

  test('of functions alone brings the template before it up to date; the last two stay', async () => {
    const platform = uniqueName('tpl')
    await gateway.register(platform, await pack(BASE))
    const [first] = await settled(platform, 1)
    const second = await pack({ ...BASE, ...textFunction('motto', 'second') })
    await gateway.register(platform, second)
    const [, copy] = await settled(platform, 2)
    expect(await oids(copy.database)).toEqual(await oids(first.database))
    // Its functions are then known, and it is compared with nothing again.
    expect(await printOf(copy.database)).toBe(await printOf(`${platform}_main`))
    expect((await gateway.register(platform, second, 'north')).body).toMatchObject({
      migrations_applied: 1,
      functions_deployed: 1,
      seeders_applied: 1,
    })
    expect((await gateway.call(platform, 'motto', [], 'north')).body.rows).toEqual([
      { motto: 'second' },
    ])
    const third = await pack({
      ...BASE,
      'migrations/002_more.pssql': 'create table more (id int);',
    })
    await gateway.migrate(platform, third)
    await until(async () =>
      (await templatesOf(platform)).every(({ database }) => database !== first.database),
    )
    const rows = await settled(platform, 2)
    expect(rows.map(({ database }) => database)).toEqual([
      copy.database,
      templateName(gateway.server.database, platform, rows[1].checksum),
    ])
    const left = await queryDatabase(
      'postgres',
      `select from pg_database where datname = '${first.database}'`,
      { asGateway: true },
    )
    expect(left).toEqual([])
  })
})

describe('what is in the way', () => {
  test('one session in the template: the files run', async () => {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    await gateway.register(platform, archive)
    const [template] = await settled(platform, 1)
    const inside = connectTo(template.database)
    await inside`select 1`
    try {
      const { body } = await gateway.register(platform, archive, 'north')
      expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
      expect(await oids(`${platform}_north`)).not.toEqual(await oids(template.database))
    } finally {
      await inside.end()
    }
  })

  test('one that is gone: the files run, and one that was half built is built anew', async () => {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    await gateway.register(platform, archive)
    const [template] = await settled(platform, 1)
    const admin = (text: string) => queryDatabase('postgres', text, { asGateway: true })
    await admin(`drop database ${template.database}`)
    const { body } = await gateway.register(platform, archive, 'north')
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    await until(async () => {
      const [row] = await templatesOf(platform)
      return row.state === 'ready' && row.is_there
    })
    // As a gateway leaves it that is killed while it builds, with what was built by then.
    await queryDatabase(
      gateway.server.database,
      `update _db_gateway_templates set state = 'unfinished' where platform = '${platform}'`,
      { asGateway: true },
    )
    await admin(`drop database ${template.database}`)
    await admin(`create database ${template.database}`)
    const other = await startTestGateway({
      TEMPLATES: 'on',
      DATABASE_URL: databaseUrlOf(gateway.server.database),
    })
    await other.migrate(platform, archive)
    const [rebuilt] = await settled(platform, 1)
    await other.stop()
    expect(rebuilt).toMatchObject({ database: template.database, state: 'ready' })
    await gateway.register(platform, archive, 'south')
    expect(await oids(`${platform}_south`)).toEqual(await oids(template.database))
  })

  test.each([
    ['changed by hand', 'drop function motto(); create table planted (n int);'],
    ['changed in a column', 'alter table item alter name drop not null;'],
    ['made by hand', ''],
  ])('one that was %s: the files run, and it is built anew', async (_, change) => {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    await gateway.register(platform, archive)
    const [{ database }] = await settled(platform, 1)
    const admin = (text: string) => queryDatabase('postgres', text, { asGateway: true })
    if (change !== '') await queryDatabase(database, change, { asGateway: true })
    else for (const what of ['drop', 'create']) await admin(`${what} database ${database}`)
    const { body } = await gateway.register(platform, archive, 'north')
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    const [is] = await queryDatabase(
      `${platform}_north`,
      `select attnotnull, to_regclass('planted') as planted, to_regproc('motto')::text as motto
       from pg_attribute where attrelid = 'item'::regclass and attname = 'name'`,
    )
    expect(is).toEqual({ attnotnull: true, planted: null, motto: 'motto' })
    await until(async () => (await templatesOf(platform))[0].state === 'ready')
  })

  test('one that was changed by hand is not brought up to date for the next release', async () => {
    const platform = uniqueName('tpl')
    await gateway.register(platform, await pack(BASE))
    const [{ database }] = await settled(platform, 1)
    await queryDatabase(database, 'create table planted (n int)', { asGateway: true })
    const archive = await pack({ ...BASE, ...textFunction('motto', 'second') })
    await gateway.register(platform, archive)
    await until(async () => (await templatesOf(platform))[1]?.state === 'ready')
    await gateway.register(platform, archive, 'north')
    await expect(queryDatabase(`${platform}_north`, 'table planted')).rejects.toThrow()
  })

  test('settings of the database are copied', async () => {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    await gateway.register(platform, archive)
    const [template] = await settled(platform, 1)
    await queryDatabase(
      'postgres',
      `alter database ${template.database} set search_path = "$user", public, "a b";
       alter database ${template.database} set application_name = 'it''s \\ "x", y';
       alter role gw_${platform} in database ${template.database} set work_mem = '8MB'`,
      { asGateway: true },
    )
    await gateway.register(platform, archive, 'north')
    const settings = (database: string) =>
      queryDatabase(
        database,
        `select setrole::regrole::text as role, setconfig from pg_db_role_setting
         where setdatabase = (select oid from pg_database where datname = '${database}') order by 1`,
        { asGateway: true },
      )
    const copied = await settings(`${platform}_north`)
    expect(copied).toHaveLength(2)
    expect(copied).toEqual(await settings(template.database))
  })

  test('a name of the gateway is nobody else’s', async () => {
    const { status, body } = await gateway.register('_db_gateway_template', await pack(BASE), 'x')
    expect([status, body.error]).toEqual([409, 'name_conflict'])
  })
})

test('without templates nothing is built, and strict is refused', async () => {
  const other = await startTestGateway({ TEMPLATES: 'off' })
  try {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    expect((await other.register(platform, archive)).body.status).toBe('ready')
    const strict = await other.register(platform, await pack(ONLY_AFTER), undefined, {
      strict: 'true',
    })
    expect([strict.status, strict.body.message]).toEqual([400, 'strict needs TEMPLATES=on'])
    const rows = await queryDatabase(other.server.database, 'select from _db_gateway_templates', {
      asGateway: true,
    })
    expect(rows).toEqual([])
  } finally {
    await other.stop()
  }
})

describe('several gateways', () => {
  const url = () => databaseUrlOf(gateway.server.database)

  test('build one template of an archive, and make copies of it at the same time', async () => {
    const other = await startTestGateway({ TEMPLATES: 'on', DATABASE_URL: url() })
    try {
      const platform = uniqueName('tpl')
      const first = await pack(BASE)
      await gateway.register(platform, first)
      await settled(platform, 1)
      await gateway.register(platform, first, 'north')
      const next = await pack({
        ...BASE,
        'migrations/002_next.pssql': 'create table next (id int);',
      })
      const answers = await Promise.all([
        gateway.register(platform, next),
        other.register(platform, next, 'north'),
      ])
      for (const { body } of answers) expect(body).toMatchObject({ status: 'ready', warnings: [] })
      const [, template] = await settled(platform, 2)
      const tenants = ['a', 'b', 'c', 'd', 'e', 'f']
      const made = await Promise.all(
        tenants.map((tenant, i) => (i % 2 ? gateway : other).register(platform, next, tenant)),
      )
      for (const { body } of made)
        expect(body).toMatchObject({ status: 'ready', migrations_applied: 2 })
      for (const tenant of tenants) {
        expect(await oids(`${platform}_${tenant}`)).toEqual(await oids(template.database))
      }
    } finally {
      await other.stop()
    }
  })

  test('one that is killed while it builds leaves nothing that the next one cannot clear', async () => {
    const killed = await startProcess({ DATABASE_URL: url() })
    const platform = uniqueName('tpl')
    const admin = (text: string) => queryDatabase('postgres', text, { asGateway: true })
    await killed.register(platform, BASE)
    await settled(platform, 1)
    await queryDatabase(`${platform}_main`, `insert into item (name) values ('x')`)
    // Slow in the template alone, and no more when the role is gone.
    const slow = `select pg_sleep(60) from pg_roles
      where rolname = 'slow_${platform}' and not exists (select from item);`
    const files = { ...BASE, 'migrations/002_slow.pssql': slow }
    await admin(`create role slow_${platform}`)
    killed.register(platform, files).catch(() => {})
    await until(async () => {
      const sleeping = await admin(
        `select from pg_stat_activity where datname like '\\_db\\_gateway%' and wait_event = 'PgSleep'`,
      )
      return sleeping.length > 0
    })
    killed.kill('SIGKILL')
    await killed.exit
    await admin(`drop role slow_${platform}`)
    expect((await templatesOf(platform)).map(({ state }) => state)).toEqual(['ready', 'unfinished'])
    const { body } = await gateway.migrate(platform, await pack(files))
    expect(body).toMatchObject({ status: 'completed', warnings: [] })
    const rows = await settled(platform, 2)
    expect(rows.map(({ state, is_there }) => [state, is_there])).toEqual([
      ['ready', true],
      ['ready', true],
    ])
  })
})

test('platforms that share the role of the gateway have templates too', async () => {
  const shared = await startTestGateway({ TEMPLATES: 'on', ISOLATION: 'shared' })
  try {
    const platform = uniqueName('tpl')
    const archive = await pack(BASE)
    await shared.register(platform, archive)
    const find = () =>
      queryDatabase(
        shared.server.database,
        `select database from _db_gateway_templates where state = 'ready'`,
        { asGateway: true },
      )
    await until(async () => (await find()).length === 1)
    const [{ database }] = await find()
    expect((await shared.register(platform, archive, 'north')).body.status).toBe('ready')
    expect(await oids(`${platform}_north`)).toEqual(await oids(database))
    expect((await shared.call(platform, 'motto', [], 'north')).body.rows).toEqual([
      { motto: 'first' },
    ])
  } finally {
    await shared.stop()
  }
})
