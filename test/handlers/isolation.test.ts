import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { attack, connectAs, SERVERS } from '../helpers/attacker.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

type Query = (database: string, text: string) => Promise<Json[]>

const NOT_ALLOWED = '42501'

/** What a platform's SQL may try, and how PostgreSQL refuses it. `{…}` are names of the test. */
const ATTACKS: [name: string, statement: string, sqlstate?: string][] = [
  // The server's files and programs
  ['reads a file', `select pg_read_file('/etc/passwd')`],
  ['reads a file in pieces', `select pg_read_binary_file('PG_VERSION')`],
  ['lists a folder', `select pg_ls_dir('.')`],
  ['copies from a file', `create temp table f (line text); copy f from '/etc/passwd'`],
  ['copies to a program', `copy (select 1) to program 'cat'`],
  ['copies from a program', `create temp table f (line text); copy f from program 'id'`],
  ['imports a file as a large object', `select lo_import('/etc/passwd')`],
  ['exports a large object to a file', `select lo_export(lo_from_bytea(0, 'x'), '/tmp/attack')`],
  ['loads a library', `load 'plpgsql'`],
  ['has the server call a C function', `create function c() returns int language c as 'x', 'y'`],
  ['creates a tablespace', `create tablespace attack location '/tmp'`],

  // The server's settings and processes
  ['alters the system', 'alter system set log_statement = none'],
  ['has the settings read again', 'select pg_reload_conf()'],
  ['ends sessions of the gateway', `select pg_terminate_backend(pid) from {sessions} as s`],
  [
    'ends sessions of another platform',
    `select pg_terminate_backend(pid) from {other_sessions} as s`,
  ],
  ['cancels what the gateway runs', `select pg_cancel_backend(pid) from {sessions} as s`],
  ['turns triggers off', 'set session_replication_role = replica'],
  ['preloads a library', `alter database {own} set session_preload_libraries = 'x'`],
  ['creates an event trigger', `create event trigger e on ddl_command_start execute function f()`],
  ['subscribes to another server', `create subscription s connection 'x' publication p`],
  ['adds a replication slot', `select pg_create_physical_replication_slot('attack')`],
  ['switches the WAL', 'select pg_switch_wal()'],

  // Other roles
  ['becomes the gateway', 'set role {gateway}'],
  ['becomes the other platform', 'set role {other_role}'],
  ['becomes the gateway for good', 'set session authorization {gateway}'],
  ['gives itself the gateway', 'grant {gateway} to {own_role}'],
  ['gives itself the other platform', 'grant {other_role} to {own_role}'],
  ['gives itself the files', 'grant pg_read_server_files to {own_role}'],
  ['makes itself a superuser', 'alter role {own_role} superuser'],
  ['creates a role', 'create role attack login superuser'],
  ['gives the gateway another password', `alter role {gateway} password 'known'`],
  ['gives the other platform a password', `alter role {other_role} password 'known'`],
  ['drops the other role', 'drop role {other_role}', NOT_ALLOWED],
  ['sets something for the other role', `alter role {other_role} set search_path = 'x'`],
  ['reads the passwords', 'select rolpassword from pg_authid'],
  ['says that its role is no gateway’s', `comment on role {own_role} is 'mine'`],

  // Other databases
  ['creates a database', 'create database attack'],
  ['copies a database', 'create database attack template {other}'],
  ['drops a database', 'drop database {other}'],
  ['drops the catalog', 'drop database {admin}'],
  ['renames a database', 'alter database {other} rename to attack'],
  ['takes a database', 'alter database {other} owner to {own_role}'],
  ['sets something for a database', `alter database {other} set search_path = 'x'`],
  ['opens a database to all', 'grant connect on database {other} to public'],
  ['closes a database to its owner', 'alter database {other} connection limit 0'],
  ['gives its database away', 'alter database {own} owner to {other_role}'],
  ['reads tables of another database', 'select * from {other}.public.secrets', '0A000'],
  ['reads a large object of another database', 'select lo_get({other_object})', '42704'],
  ['reads the catalog', 'select * from {admin}.public._db_gateway_databases', '0A000'],

  // The ledger
  ['writes the ledger', `insert into public._db_gateway_migrations values (9, 'x', 'x')`],
  ['changes the ledger', `update public._db_gateway_migrations set checksum = 'x'`],
  ['deletes from the ledger', 'delete from public._db_gateway_deployments'],
  ['empties the ledger', 'truncate public._db_gateway_files'],
  ['drops the ledger', 'drop table public._db_gateway_migrations'],
  ['drops the ledger with its schema', 'drop schema public cascade'],
  ['renames the ledger', 'alter table public._db_gateway_migrations rename to old'],
  ['moves the ledger', 'alter table public._db_gateway_migrations set schema pg_temp'],
  [
    'locks the ledger',
    'do $$ begin lock table public._db_gateway_migrations in exclusive mode; end $$',
  ],
  [
    'hangs a trigger on the ledger',
    `create trigger t before insert on public._db_gateway_files
       for each row execute function suppress_redundant_updates_trigger()`,
  ],
  [
    'hangs a rule on the ledger',
    'create rule r as on insert to public._db_gateway_files do nothing',
  ],
  ['indexes the ledger', 'create index on public._db_gateway_files ((1 / 0))'],
  ['refers to the ledger', 'create table r (f text references public._db_gateway_files)'],
  ['reads the key of the ledger', 'select * from _db_gateway.key'],
  ['changes the key of the ledger', `insert into _db_gateway.key (digest) values ('x')`],
  ['writes by the function', `select _db_gateway.write('guessed', '00', '{}')`],
  ['drops the function that writes', 'drop function _db_gateway.write'],
  [
    'replaces the function that tells of the key',
    `create or replace function _db_gateway.state() returns void language sql as ''`,
  ],
  ['makes something in the schema', 'create table _db_gateway.own (id int)'],
  ['drops the schema of the function', 'drop schema _db_gateway cascade'],
  ['says that the ledger is another catalog’s', `comment on schema _db_gateway is 'mine'`],
]

const ATTEMPT = `
  create function attempt(statement text) returns text language plpgsql as $$
  begin
    execute statement;
    return 'done';
  end $$;
`

describe.each(SERVERS)('where the gateway is %s', (_, server) => {
  let gateway: TestGateway
  let url: string
  let admin: string
  let names: Record<string, string>
  const attacker = uniqueName('attacker')
  const victim = uniqueName('victim')

  const query: Query = (database, text) => queryDatabase(database, text, { asGateway: true, url })

  beforeAll(async () => {
    url = await createAdminDatabase(server)
    admin = parseDatabaseUrl(url).database
    gateway = await startTestGateway({ DATABASE_URL: url })
    const secrets = "create table secrets (text text); insert into secrets values ('plain');"
    await gateway.register(
      victim,
      await pack({
        'migrations/0001_a.sql': secrets,
        'functions/f.sql': `create function f() returns oid language sql as $$ select lo_from_bytea(0, 'plain') $$`,
      }),
    )
    const object = (await gateway.call(victim, 'f')).body.rows[0].f
    const { status } = await gateway.register(
      attacker,
      await pack({ 'migrations/0001_a.sql': secrets, 'functions/attempt.sql': ATTEMPT }),
    )
    expect(status).toBe(200)
    names = {
      own: `${attacker}_main`,
      own_role: `gw_${attacker}`,
      other: `${victim}_main`,
      other_role: `gw_${victim}`,
      gateway: parseDatabaseUrl(url).user,
      admin,
      other_object: object,
      other_sessions: `(select pid from pg_stat_activity where usename = 'gw_${victim}')`,
      sessions: `(select pid from pg_stat_activity where usename = '${parseDatabaseUrl(url).user}')`,
    }
  })

  afterAll(async () => {
    await gateway.stop()
    await dropAdminDatabase(url)
  })

  const fill = (statement: string) =>
    statement.replace(/\{(\w+)\}/g, (_, name: string) => names[name]!)

  test.each(ATTACKS)('a function or migration %s: refused', async (_, attackSql, sqlstate) => {
    const statement = fill(attackSql)
    const before = await stateOf(query, victim, attacker, admin)

    expect(await attack(attacker, statement, url)).toBe(sqlstate ?? NOT_ALLOWED)

    const called = await gateway.call(attacker, 'attempt', { statement })
    expect(called.status, JSON.stringify(called.body)).toBeGreaterThanOrEqual(400)

    const files = {
      'migrations/0001_a.sql': `create table secrets (text text); insert into secrets values ('plain');`,
      'migrations/0002_b.sql': statement,
      'functions/attempt.sql': ATTEMPT,
    }
    // Otherwise the gateway would refuse some of it before PostgreSQL does.
    const leave = { allow: 'data_loss' }
    const deployed = await gateway.register(attacker, await pack(files), undefined, leave)
    expect(deployed.body).toMatchObject({ error: 'migration_failed' })

    expect(await stateOf(query, victim, attacker, admin)).toEqual(before)
  })

  test('a platform works in its own database as its own role', async () => {
    expect(await attack(attacker, 'select current_user, session_user', url)).toBe(
      JSON.stringify([{ current_user: `gw_${attacker}`, session_user: `gw_${attacker}` }]),
    )
    expect(await attack(attacker, 'reset role; select current_user::text as u', url)).toContain(
      `gw_${attacker}`,
    )
    expect(
      (await gateway.call(attacker, 'attempt', { statement: 'create table own (id int)' })).status,
    ).toBe(200)
  })

  test.each([
    ["another platform's database", () => `${victim}_main`],
    ['the catalog', () => admin],
  ])('its role does not get into %s, with the right password', async (_, database) => {
    const sql = connectAs(attacker, database(), url)
    const error: Json = await sql`select 1`.then(String, (refused) => refused)
    await sql.end()
    expect(error.message).toMatch(/permission denied for database/)
  })

  test.each(['main', 'empty'])('nobody else gets into its database %s', async (tenant) => {
    if (tenant === 'empty') {
      const { status } = await gateway.post('/admin/create-tenant', {
        platform: attacker,
        tenant_id: tenant,
      })
      expect(status).toBe(201)
    }
    const [row] = await query(
      admin,
      `select datacl::text as acl, pg_get_userbyid(datdba) as owner
       from pg_database where datname = '${attacker}_${tenant}'`,
    )
    expect(row).toEqual({
      owner: `gw_${attacker}`,
      acl: `{gw_${attacker}=CTc/gw_${attacker}}`,
    })
  })

  test('it sees what others do, but not their statements', async () => {
    const seen = await attack(
      attacker,
      `select count(*)::int as n from pg_stat_activity
       where usename <> current_user and query not in ('<insufficient privilege>', '')`,
      url,
    )
    expect(seen).toBe('[{"n":0}]')
  })
})

/** What none of the attacks may change. */
async function stateOf(
  query: Query,
  victim: string,
  attacker: string,
  admin: string,
): Promise<Json> {
  const [catalog, databases, roles, secrets, ledger] = await Promise.all([
    query(admin, 'select * from _db_gateway_databases order by 1'),
    query(
      admin,
      `select datname, datdba, datacl, datconnlimit from pg_database
       where datname like '${victim}%' or datname like '${attacker}%' or datname = '${admin}'
       order by 1`,
    ),
    query(
      admin,
      `select r.*, s.setconfig from pg_roles r left join pg_db_role_setting s on s.setrole = r.oid
       where rolname in ('gw_${victim}', 'gw_${attacker}', 'gateway', 'postgres', 'attack')
       order by rolname`,
    ),
    query(`${victim}_main`, 'select xmin::text, text from secrets'),
    query(
      `${attacker}_main`,
      `select xmin::text, migration_file, checksum from _db_gateway_migrations order by id`,
    ),
  ])
  return { catalog: [...catalog], databases: [...databases], roles: [...roles], secrets, ledger }
}
