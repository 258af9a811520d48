import { describe, expect, test } from 'vitest'
import { type Json, queryDatabase, startTestGateway, uniqueName } from '../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../helpers/platforms.ts'
import { snapshot } from '../../helpers/snapshot.ts'

// An old container that starts again took its schema back; and what /admin/databases said then.

import { FIRST, gateway, newPlatform, SECOND, said, setUp, warningsOf } from './setup.ts'

setUp()

describe('A6: an old container that starts again', () => {
  test('changes nothing, is ready, and is told how to go back', async () => {
    const { name, database, first, second } = await newPlatform()
    const before = await snapshot(database)
    const count = 'select count(*)::int as n from _db_gateway_deployments'
    const deployments = await queryDatabase(database, count)
    const answer = await gateway.register(name, first)
    expect(answer).toMatchObject({
      status: 200,
      body: { status: 'ready', superseded: true, functions_deployed: 3, functions_dropped: [] },
    })
    expect(warningsOf(answer)).toContain(`curl -F platform=${name} -F allow=older`)
    expect(warningsOf(answer)).toContain('/admin/revert')
    expect(await snapshot(database)).toEqual(before)
    expect(await queryDatabase(database, count)).toEqual(deployments)
    expect([await said(name, 'motto'), await said(name, 'farewell')]).toEqual(['second', 'bye'])
    const inPlace = await gateway.register(name, second)
    expect(inPlace.body).toMatchObject({ status: 'ready', functions_changed: 0 })
    expect(inPlace.body).not.toHaveProperty('superseded')
  })

  test('also where /migrate brought the newer archive, to a tenant, and with repair', async () => {
    const name = uniqueName('older')
    const [first, second] = [await pack(FIRST), await pack(SECOND)]
    await gateway.register(name, first, 'north')
    await gateway.migrate(name, second)
    const answer = await gateway.register(name, first, 'north')
    expect(answer.body).toMatchObject({ status: 'ready', superseded: true })
    expect(warningsOf(answer)).toContain(`-F tenant_id=north -F allow=older`)
    const repaired = await gateway.register(name, first, 'north', { repair: 'true' })
    expect(repaired.body).toMatchObject({ superseded: true })
    const dry = await gateway.register(name, first, 'north', { dry_run: 'true' })
    expect(dry.body).toMatchObject({ status: 'dry_run', superseded: true })
    expect(await said(name, 'motto', 'north')).toBe('second')
    // One that has no database yet gets what its container brings.
    const south = await gateway.register(name, first, 'south')
    expect(south.body).not.toHaveProperty('superseded')
    expect(await said(name, 'motto', 'south')).toBe('first')
  })

  test('the audit trail says so', async () => {
    const { name, first } = await newPlatform()
    await gateway.register(name, first)
    const { body } = await gateway.get(`/admin/audit?platform=${name}&limit=1`)
    expect(body.entries[0].summary).toMatchObject({ superseded: true })
  })

  test('who goes back gets functions back; tables, types and rows stay', async () => {
    const { name, database, first, second } = await newPlatform()
    await queryDatabase(database, "insert into item values (1, 'one', 2, 'n')")
    const dry = await gateway.register(name, first, undefined, { allow: 'older', dry_run: 'true' })
    expect(dry.body.plan[0].functions).toMatchObject({ drop: ['public.farewell()'] })
    expect(await said(name, 'motto')).toBe('second')

    const answer = await gateway.register(name, first, undefined, { allow: 'older' })
    expect(answer.body).toMatchObject({
      status: 'ready',
      migrations_applied: 0,
      functions_deployed: 2,
      functions_dropped: ['public.farewell()'],
      tables_created: [],
    })
    expect(answer.body).not.toHaveProperty('superseded')
    expect(warningsOf(answer)).toContain('002_more.pssql')
    expect([await said(name, 'motto'), await said(name, 'farewell')]).toEqual(['first', 404])
    const [row] = await queryDatabase(
      database,
      `select (select note from item) as note, to_regclass('extra')::text as extra,
         enum_range(null::state)::text as states`,
    )
    expect(row).toEqual({ note: 'n', extra: 'extra', states: '{new,done}' })

    // Now the newer archive is the one that was there before.
    expect((await gateway.register(name, second)).body).toMatchObject({ superseded: true })
    expect((await gateway.register(name, first)).body).not.toHaveProperty('superseded')
    const forth = await gateway.register(name, second, undefined, { allow: 'older' })
    expect(forth.body).toMatchObject({ status: 'ready', functions_deployed: 3 })
    expect([await said(name, 'motto'), await said(name, 'farewell')]).toEqual(['second', 'bye'])
    // And a new one is deployed as a whole.
    const third = await pack({ ...SECOND, 'migrations/003_third.pssql': 'create table third ()' })
    expect((await gateway.register(name, third)).body).toMatchObject({ migrations_applied: 1 })
  })

  test('what was replaced by hand after that is made again, and nothing else of the archive runs', async () => {
    const { name, database, first } = await newPlatform()
    await gateway.register(name, first, undefined, { allow: 'older' })
    await queryDatabase(
      database,
      "create or replace function motto() returns text language sql as $$ select 'by hand' $$",
    )
    const answer = await gateway.register(name, first)
    expect(answer.body).toMatchObject({ status: 'ready', functions_changed: 1 })
    expect(answer.body).not.toHaveProperty('superseded')
    expect(await said(name, 'motto')).toBe('first')
    const rows = await queryDatabase(
      database,
      'select only_code from _db_gateway_deployments order by id',
    )
    expect(rows.map((row) => row.only_code)).toEqual([false, false, true, true])
    const [{ states }] = await queryDatabase(
      database,
      'select enum_range(null::state)::text as states',
    )
    expect(states).toBe('{new,done}')
  })

  test('triggers go back, policies stay, and functions that go back keep their rights', async () => {
    const trigger = (text: string): Files => ({
      'functions/note.pssql': `create or replace function note() returns trigger language plpgsql as
        $$ begin new.name := '${text}'; return new; end $$;`,
      'triggers/note.pssql': `create trigger note_${text} before insert on item
        for each row execute function note();`,
    })
    const policy = (text: string): Files => ({
      'policies/item.pssql': `create policy ${text} on item using (name is not null);`,
      'migrations/001_base.pssql': `create table item (id int primary key, name text);
        alter table item enable row level security;`,
    })
    const { name, database, first } = await newPlatform(
      { ...FIRST, ...policy('open'), ...trigger('first') },
      { ...FIRST, ...policy('closed'), ...trigger('second') },
    )
    await queryDatabase(database, 'revoke execute on function motto() from public')
    const answer = await gateway.register(name, first, undefined, { allow: 'older' })
    expect(answer.body).toMatchObject({ status: 'ready' })
    await queryDatabase(database, "insert into item values (1, 'x')")
    const [row] = await queryDatabase(
      database,
      `select (select name from item) as name,
         (select string_agg(tgname, ' ') from pg_trigger where tgname like 'note%') as triggers,
         (select string_agg(polname, ' ') from pg_policy) as policies,
         has_function_privilege('public', 'motto()', 'execute') as open`,
    )
    expect(row).toEqual({
      name: 'first',
      triggers: 'note_first',
      policies: 'closed',
      open: false,
    })
  })

  test('an older archive that has far fewer functions is not taken for a mistake', async () => {
    const many = Object.assign({}, ...[1, 2, 3, 4, 5].map((n) => textFunction(`many_${n}`, 'm')))
    const { name, first } = await newPlatform(FIRST, { ...SECOND, ...many })
    const answer = await gateway.register(name, first, undefined, { allow: 'older' })
    expect(answer.body).toMatchObject({ status: 'ready', functions_deployed: 2 })
  })

  test('what does not fit the newer tables is 422, and each is named', async () => {
    const body = (text: string) => `create function ${text}`
    const { name, database, first } = await newPlatform(
      {
        ...FIRST,
        'functions/a.pssql': body("a() returns int language sql as 'select price from item'"),
        'functions/b.pssql': body("b() returns int language sql as 'select 2'"),
        'functions/c.pssql': `\n${body("c() returns setof text language sql as 'select name from old'")}`,
        'views/v.pssql': 'create view v as select price from item;',
        'migrations/001_base.pssql':
          'create table item (id int primary key, name text, price int); create table old (name text);',
      },
      {
        ...FIRST,
        'functions/a.pssql': body("a() returns int language sql as 'select 1'"),
        'functions/b.pssql': body("b() returns int language sql as 'select 2'"),
        'views/v.pssql': 'create view v as select name from item;',
        'migrations/001_base.pssql':
          'create table item (id int primary key, name text, price int); create table old (name text);',
        'migrations/002_drop.pssql': 'drop view v; alter table item drop price; drop table old;',
      },
    )
    const before = await snapshot(database)
    const answer = await gateway.register(name, first, undefined, { allow: 'older' })
    expect(answer.status).toBe(422)
    const failures = answer.body.failures.map(({ file, line }: Json) => [file, line])
    expect(failures.sort()).toEqual([
      ['functions/a.pssql', 1],
      ['functions/c.pssql', 2],
      ['views/v.pssql', 1],
    ])
    expect(await snapshot(database)).toEqual(before)
  })

  test('/migrate is the wish of a person: it goes back, and warns', async () => {
    const { name, first } = await newPlatform()
    const answer = await gateway.migrate(name, first)
    expect(answer.body).toMatchObject({ status: 'completed', functions_updated: 2 })
    expect(warningsOf(answer)).toContain('stay as they are')
    expect(await said(name, 'motto')).toBe('first')
  })

  test('two old containers at once, while the newer archive is deployed', async () => {
    const name = uniqueName('older')
    const [first, second] = [await pack(FIRST), await pack(SECOND)]
    await gateway.register(name, first)
    const answers = await Promise.all([
      gateway.register(name, second),
      gateway.register(name, first),
      gateway.register(name, second),
      gateway.register(name, first),
    ])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(await said(name, 'motto')).toBe('second')
  })

  test('with OLDER_ARCHIVES=deploy, whoever starts last wins', async () => {
    const other = await startTestGateway({ OLDER_ARCHIVES: 'deploy' })
    try {
      const name = uniqueName('older')
      const [first, second] = [await pack(FIRST), await pack(SECOND)]
      for (const archive of [first, second, first]) await other.register(name, archive)
      const { body } = await other.call(name, 'motto', [])
      expect(body.rows).toEqual([{ motto: 'first' }])
    } finally {
      await other.stop()
    }
  })
})
