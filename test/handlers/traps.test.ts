import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import { attack, SERVERS } from '../helpers/attacker.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  queryDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

/** Functions of PostgreSQL that the gateway uses, by their types. */
const CATALOG_FUNCTIONS = [
  ['now()', 'timestamptz'],
  ['sha256(bytea)', 'bytea'],
  ['convert_to(text, name)', 'bytea'],
  ['hashtext(text)', 'integer'],
  ['pg_get_userbyid(oid)', 'name'],
  ['pg_try_advisory_lock(integer)', 'boolean'],
  ['pg_advisory_xact_lock(integer)', 'void'],
  ['to_regclass(text)', 'regclass'],
  ['set_config(text, text, boolean)', 'text'],
  ['current_database()', 'name'],
  ['jsonb_to_recordset(jsonb)', 'setof record'],
]

/** What they do when they are called: they write down as whom, and return nothing. */
function traps(schema: string): string {
  const functions = CATALOG_FUNCTIONS.map(
    ([head, type]) => `
      create function ${schema}.${head} returns ${type} language plpgsql as $$
      begin insert into public.caught values (current_user, '${head}'); return${type === 'setof record' ? '' : ' null'}; end $$;`,
  ).map((text) => text.replace('return null', /returns void/.test(text) ? 'return' : 'return null'))
  const operators = ['bytea', 'text'].map(
    (type) => `
      create function ${schema}.caught_${type}(${type}, ${type}) returns boolean language plpgsql as $$
      begin insert into public.caught values (current_user, '= ${type}'); return true; end $$;
      create operator ${schema}.= (function = ${schema}.caught_${type}, leftarg = ${type}, rightarg = ${type});
      create operator ${schema}.<> (function = ${schema}.caught_${type}, leftarg = ${type}, rightarg = ${type});`,
  )
  return [...functions, ...operators].join('\n')
}

/** Types of the same name as PostgreSQL's, which write down every value of theirs. */
const GREEDY_TYPES = `
  create function public.take(value pg_catalog.text) returns boolean language plpgsql as $$
  begin insert into public.caught values (current_user, value); return true; end $$;
  create domain public.text as pg_catalog.text check (public.take(value::pg_catalog.text));
  create domain public.jsonb as pg_catalog.jsonb check (public.take(value::pg_catalog.text));
`

const CAUGHT = 'create table public.caught (who name, what pg_catalog.text);'

const GRAB = `create function grab(statement text) returns text language plpgsql as $$
  declare found text; begin execute statement into found; return found; end $$;`

describe.each(SERVERS)('where the gateway is %s', (_, server) => {
  let admin: string
  let url: string
  let gateway: TestGateway

  const query = (database: string, text: string) =>
    queryDatabase(database, text, { asGateway: true, url: server })

  beforeAll(async () => {
    url = await createAdminDatabase(server)
    admin = parseDatabaseUrl(url).database
    gateway = await startTestGateway({ DATABASE_URL: url })
  })

  afterAll(async () => {
    await gateway.stop()
    await dropAdminDatabase(url)
  })

  /** Whose hands the traps of a platform have caught. */
  const caught = async (platform: string) =>
    (await query(`${platform}_main`, 'select distinct who from public.caught order by 1')).map(
      (row) => row.who,
    )

  const keyOf = (platform: string) => new Secret(TEST_SECRET).ledgerKeyOf(`${platform}_main`)

  test('functions and operators named like PostgreSQL’s never run as the gateway', async () => {
    const platform = uniqueName('traps')
    const database = `${platform}_main`
    const files: Record<string, string> = { 'migrations/0001_t.sql': CAUGHT + traps('public') }
    expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
      status: 'ready',
    })
    for (const setting of ['search_path = public, pg_catalog', 'role = none']) {
      expect(await attack(platform, `alter role current_user set ${setting}`, url)).toBe('[]')
      expect(await attack(platform, `alter database ${database} set ${setting}`, url)).toBe('[]')
    }
    await attack(platform, 'select now()', url)
    expect(await caught(platform), 'the traps work').toEqual([`gw_${platform}`])

    // One that was restored is handed over anew, by the gateway's role.
    const restore = `alter database ${database} owner to current_user`
    files['migrations/0002_u.sql'] = 'create table u (id int)'
    for (let time = 0; time < 2; time++) {
      await query(admin, restore)
      expect((await gateway.register(platform, await pack(files))).status).toBe(200)
    }
    await gateway.get(`/admin/deployments?platform=${platform}`)
    await gateway.get(`/admin/databases?platform=${platform}`)
    expect(await caught(platform)).toEqual([`gw_${platform}`])
  })

  test('neither do they in the script of an extension, wherever that is installed', async () => {
    const platform = uniqueName('traps')
    const files: Record<string, string> = {
      'migrations/0001_t.sql': `${CAUGHT} create schema if not exists ext; ${traps('public')} ${traps('ext')}`,
    }
    const names = ['citext', 'hstore', 'btree_gist', 'ltree', 'intarray', 'pg_trgm']
    for (const [i, name] of names.entries()) {
      files[`extensions/${name}.sql`] = i % 2 === 0 ? '' : '-- schema: ext\n'
      const { body } = await gateway.register(platform, await pack(files))
      expect(body).toMatchObject({ status: 'ready' })
    }
    const found = await caught(platform)
    expect(found.filter((role) => role !== `gw_${platform}`)).toEqual([])
    const [row] = await query(
      admin,
      `select rolsuper or rolcreaterole or rolcreatedb as more,
         exists (select from pg_auth_members where member = r.oid) as belongs
       from pg_roles r where rolname = 'gw_${platform}'`,
    )
    expect(row).toEqual({ more: false, belongs: false })
  })

  test('what an extension would create and finds there already is not taken for its own', async () => {
    const platform = uniqueName('traps')
    const mine = `create function hstore(text, text) returns text language sql as 'select null::text'`
    await gateway.register(platform, await pack({ 'migrations/0001_t.sql': mine }))
    const { body } = await gateway.register(
      platform,
      await pack({ 'migrations/0001_t.sql': mine, 'extensions/hstore.sql': '' }),
    )
    expect(body).toMatchObject({ error: 'extension_install_failed', sqlstate: '42723' })
  })

  test('temporary tables named like the ledger’s do not come between', async () => {
    const platform = uniqueName('temp')
    const shadows = ['migrations', 'files', 'deployments']
    const files = {
      'migrations/0001_t.sql': shadows
        .map((name) => `create temp table _db_gateway_${name} (like public._db_gateway_${name});`)
        .join('\n'),
      'migrations/0002_u.sql': 'create table u (id int)',
      'functions/f.sql': `create function f() returns int language sql as 'select 1'`,
    }
    const { body } = await gateway.register(platform, await pack(files))
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 2, functions_deployed: 1 })
    expect(
      await query(
        `${platform}_main`,
        `select (select count(*)::int from public._db_gateway_migrations) as migrations,
           (select objects from public._db_gateway_files where section <> 'standing') as objects`,
      ),
    ).toMatchObject([{ migrations: 2, objects: [{ kind: 'function', identity: 'public.f()' }] }])
  })

  test('the key of the ledger is not to be had', async () => {
    const platform = uniqueName('key')
    const database = `${platform}_main`
    const answers: unknown[] = []
    const files: Record<string, string> = {
      'migrations/0001_t.sql': CAUGHT + GREEDY_TYPES,
      'functions/grab.sql': GRAB.replaceAll('text', 'pg_catalog.text'),
    }
    answers.push((await gateway.register(platform, await pack(files))).body)
    await attack(platform, `alter database ${database} set search_path = public, pg_catalog`, url)

    // Types that take what they are given; errors with parameters; a look at the session itself.
    files['migrations/0002_u.sql'] = `
      set search_path = public, pg_catalog;
      set log_parameter_max_length_on_error = -1;
      set log_statement_stats = off`
    answers.push((await gateway.register(platform, await pack(files))).body)
    files['migrations/0002_u.sql'] = `
      set search_path = public, pg_catalog;
      set log_parameter_max_length_on_error = -1;`
    answers.push((await gateway.register(platform, await pack(files))).body)
    files['migrations/0003_v.sql'] = `
      set log_parameter_max_length_on_error = -1;
      set transaction_read_only = on;`
    answers.push((await gateway.register(platform, await pack(files))).body)
    for (const view of ['pg_prepared_statements', 'pg_cursors', 'pg_stat_activity']) {
      const statement = `select json_agg(v)::pg_catalog.text from ${view} v`
      answers.push((await gateway.call(platform, 'grab', { statement })).body)
      answers.push(await attack(platform, statement, url))
    }
    answers.push(await query(database, 'select * from public.caught'))

    expect(JSON.stringify(answers)).toContain('cannot execute')
    expect(JSON.stringify(answers)).not.toContain(keyOf(platform))
    expect(JSON.stringify(gateway.logged)).not.toContain(keyOf(platform))
  })

  test('nor by a statement in the place of one that the gateway has prepared', async () => {
    const platform = uniqueName('key')
    const hijack = `
      do $$
      declare
        one record;
      begin
        for one in select name from pg_prepared_statements where statement like '%_db_gateway%' loop
          execute format('deallocate %I', one.name);
          execute format('prepare %I (text, text, jsonb) as
            insert into public.caught values (current_user, $1)', one.name);
        end loop;
      end $$;`
    const files = {
      'migrations/0001_t.sql': CAUGHT,
      'migrations/0002_u.sql': hijack,
      'migrations/0003_v.sql': 'create table v (id int)',
    }
    const { body } = await gateway.register(platform, await pack(files))
    expect(body).toMatchObject({ status: 'ready', migrations_applied: 3 })
    expect(await caught(platform)).toEqual([])
  })
})

const superuserUrl = inject('superuserUrl')

describe.runIf(superuserUrl)('dblink and postgres_fdw, which a superuser has installed', () => {
  const platform = uniqueName('link')
  const victim = uniqueName('victim')
  let gateway: TestGateway
  let url: string
  let host: { host: string; port: number }

  beforeAll(async () => {
    url = await createAdminDatabase(superuserUrl)
    host = parseDatabaseUrl(url)
    gateway = await startTestGateway({ DATABASE_URL: url })
    const secrets = `create table secrets (text text); insert into secrets values ('plain');`
    await gateway.register(victim, await pack({ 'migrations/0001_a.sql': secrets }))
    const { body } = await gateway.register(
      platform,
      await pack({
        'extensions/dblink.sql': '',
        'extensions/postgres_fdw.sql': '',
        'functions/grab.sql': GRAB,
      }),
    )
    expect(body).toMatchObject({ status: 'ready' })
  })

  afterAll(async () => {
    await gateway.stop()
    await dropAdminDatabase(url)
  })

  const password = () => new Secret(TEST_SECRET).passwordOf(`gw_${platform}`)

  test.each([
    ['without a password', '', ['2F003', '08001']],
    ['as another platform', `user=gw_${victim} password=guessed`, ['08001']],
    ['as the gateway', 'user=gateway password=guessed', ['08001']],
    [
      'as itself, were its password known',
      () => `user=gw_${platform} password=${password()}`,
      ['08001'],
    ],
  ])('dblink does not get into another platform’s database %s', async (_, how, codes) => {
    const as = typeof how === 'function' ? how() : how
    const to = `host=${host.host} port=${host.port} dbname=${victim}_main ${as}`
    const statement = `select text from dblink('${to}', 'select text from secrets') as s (text text)`
    const { status, body } = await gateway.call(platform, 'grab', { statement })
    expect(codes, JSON.stringify(body)).toContain(body.sqlstate)
    expect(status).toBeGreaterThanOrEqual(400)
  })

  test('dblink itself works: into its own database it would get', async () => {
    const to = `host=${host.host} port=${host.port} dbname=${platform}_main user=gw_${platform} password=${password()}`
    const statement = `select who from dblink('${to}', 'select current_user') as s (who text)`
    const { body } = await gateway.call(platform, 'grab', { statement })
    expect(body.rows).toEqual([{ grab: `gw_${platform}` }])
  })

  test('postgres_fdw is not for it to use', async () => {
    const create = `create server other foreign data wrapper postgres_fdw options (dbname '${victim}_main')`
    expect(await attack(platform, create, url)).toBe('42501')
  })
})
