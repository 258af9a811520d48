import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  connectTo,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { snapshot } from '../helpers/snapshot.ts'

// An old container that starts again took its schema back; and what /admin/databases said then.

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const FIRST: Files = {
  'migrations/001_base.pssql': 'create table item (id int primary key, name text, price int);',
  'types/state.pssql': "create type state as enum ('new');",
  ...textFunction('motto', 'first'),
  ...textFunction('greeting', 'hello'),
}
const SECOND: Files = {
  ...FIRST,
  'migrations/002_more.pssql': 'create table part (id int); alter table item add note text;',
  'types/state.pssql': "create type state as enum ('new', 'done');",
  'tables/extra.pssql': 'create table extra (id int);',
  ...textFunction('motto', 'second'),
  ...textFunction('farewell', 'bye'),
}

interface Platform {
  name: string
  database: string
  first: Uint8Array
  second: Uint8Array
}

/** A platform to whose main database both archives were deployed, one after the other. */
async function newPlatform(first = FIRST, second = SECOND): Promise<Platform> {
  const name = uniqueName('older')
  const archives = { first: await pack(first), second: await pack(second) }
  for (const archive of [archives.first, archives.second]) {
    expect(await gateway.register(name, archive)).toMatchObject({ status: 200 })
  }
  return { name, database: `${name}_main`, ...archives }
}

async function said(platform: string, name: string, tenantId?: string): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, [], tenantId)
  return status === 200 ? body.rows[0][name] : status
}

const warningsOf = ({ body }: Answer) => body.warnings.join('\n')

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

describe('G2: pending', () => {
  async function pending(platform: string, query = ''): Promise<Json> {
    const { body } = await gateway.get(`/admin/databases?platform=${platform}${query}`)
    return body.databases.map((one: Json) => one.pending)
  }

  async function fleet(): Promise<Platform> {
    const platform = await newPlatform()
    for (const tenant of ['north', 'south']) {
      await gateway.register(platform.name, platform.second, tenant)
    }
    return platform
  }

  test('is true for those behind, and for nobody once all went back', async () => {
    const { name, first, second } = await newPlatform()
    await gateway.register(name, first, 'north')
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, second)
    expect(await pending(name)).toEqual([false, false])
    await gateway.register(name, first, 'north', { allow: 'older' })
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, first)
    expect(await pending(name)).toEqual([false, false])
    // Forward again, one by one.
    await gateway.register(name, second, undefined, { allow: 'older' })
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, second)
    expect(await pending(name)).toEqual([false, false])
  })

  test('is seen at once where an older dump was restored into a new database', async () => {
    const { name, first, second } = await newPlatform()
    for (const tenant of ['north', 'south']) await gateway.register(name, first, tenant)
    const admin = connectTo(gateway.server.database)
    try {
      const copy = `${name}_copy`
      await admin.unsafe(`drop database if exists ${copy}`)
      // A session that is not back yet would be in the way.
      await admin.unsafe(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}_north'`,
      )
      await admin.unsafe(`create database ${copy} template ${name}_north`)
      await gateway.migrate(name, second)
      expect(await pending(name)).toEqual([false, false, false])
      await admin.unsafe(`drop database ${name}_north with (force)`)
      await admin.unsafe(`alter database ${copy} rename to ${name}_north`)
      await admin.unsafe(`alter database ${name}_north owner to "${await ownerOf(`${name}_main`)}"`)
      expect(await pending(name)).toEqual([false, true, false])
      await gateway.register(name, second, 'north')
      expect(await pending(name)).toEqual([false, false, false])
    } finally {
      await admin.end()
    }
  })

  test('is asked of the databases themselves with refresh=true, and found by a register', async () => {
    const { name } = await fleet()
    const forget = `delete from _db_gateway_deployments
      where id = (select max(id) from _db_gateway_deployments where status = 'completed')`
    for (const tenant of ['north', 'south']) {
      await queryDatabase(`${name}_${tenant}`, forget, { asGateway: true })
    }
    expect(await pending(name, '&refresh=true')).toEqual([false, true, true])
    const { body } = await gateway.get(`/admin/databases?platform=${name}`)
    expect(body.databases[1]).toMatchObject({ schema_checksum: null, last_deployed_at: null })
  })
})

async function ownerOf(database: string): Promise<string> {
  const [row] = await queryDatabase(
    database,
    'select pg_get_userbyid(datdba) as role from pg_database where datname = current_database()',
  )
  return row.role
}

describe('POST /admin/revert', () => {
  const checksumOf = async (platform: string, index: number): Promise<string> => {
    const { body } = await gateway.get(`/admin/archives?platform=${platform}`)
    return body.archives[index].checksum
  }

  test('takes all databases of a platform back, and forward again', async () => {
    const { name, database, second } = await newPlatform()
    await gateway.register(name, second, 'north')
    const [newer, older] = [await checksumOf(name, 0), await checksumOf(name, 1)]
    const dry = await gateway.post('/admin/revert', {
      platform: name,
      checksum: older,
      dry_run: true,
    })
    expect(dry.body).toMatchObject({ status: 'dry_run' })
    expect(dry.body.plan).toHaveLength(2)
    expect(await said(name, 'motto')).toBe('second')

    const answer = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(answer.body).toMatchObject({
      status: 'completed',
      databases_updated: [database, `${name}_north`],
      migrations_applied: 0,
      functions_updated: 2,
      checksum: older,
    })
    expect(warningsOf(answer)).toContain('002_more.pssql')
    for (const tenant of [undefined, 'north']) {
      expect(await said(name, 'motto', tenant)).toBe('first')
      expect(await said(name, 'farewell', tenant)).toBe(404)
    }
    const { body } = await gateway.get(`/admin/audit?platform=${name}&limit=1`)
    expect(body.entries[0]).toMatchObject({
      action: 'revert',
      status: 200,
      databases: [database, `${name}_north`],
      summary: { checksum: older, databases_updated: 2 },
    })
    const listed = await gateway.get(`/admin/databases?platform=${name}`)
    expect(listed.body.databases.map((one: Json) => one.pending)).toEqual([false, false])

    // The containers of the archive that was left do not bring it back, north's neither.
    expect((await gateway.register(name, second, 'north')).body).toMatchObject({ superseded: true })
    const again = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(again.body.results.map((one: Json) => one.functions_changed)).toEqual([0, 0])
    const forth = await gateway.post('/admin/revert', {
      platform: name,
      tenant_id: 'north',
      checksum: newer,
    })
    expect(forth.body).toMatchObject({ databases_updated: [`${name}_north`], functions_updated: 3 })
    expect(await said(name, 'motto')).toBe('first')
    expect(await said(name, 'motto', 'north')).toBe('second')
  })

  test('is refused where a function does not fit, or the database has not had the archive', async () => {
    const name = uniqueName('older')
    const select = (column: string): Files => ({
      'functions/prices.pssql': `create or replace function prices() returns setof int language sql as 'select ${column} from item'`,
    })
    const first = await pack({ ...FIRST, ...select('price') })
    const second = await pack({
      ...FIRST,
      ...select('cost'),
      'migrations/002_rename.pssql': 'alter table item rename price to cost;',
    })
    await gateway.register(name, first)
    await gateway.register(name, first, 'north')
    await gateway.register(name, second)
    const [newer, older] = [await checksumOf(name, 0), await checksumOf(name, 1)]

    const answer = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(answer).toMatchObject({
      status: 422,
      body: {
        error: 'function_deploy_failed',
        database: `${name}_main`,
        failures: [{ file: 'functions/prices.pssql', line: 1 }],
        not_started: [`${name}_north`],
      },
    })
    const ahead = await gateway.post('/admin/revert', {
      platform: name,
      tenant_id: 'north',
      checksum: newer,
    })
    expect(ahead).toMatchObject({
      status: 409,
      body: { error: 'revert_refused', files: ['migrations/002_rename.pssql'] },
    })
  })

  test('an archive that is not known, or of another platform, is 404; others are 400', async () => {
    const { name } = await newPlatform()
    const other = await newPlatform({ ...FIRST, ...textFunction('alone', 'here') })
    const checksum = await checksumOf(other.name, 1)
    const answer = await gateway.post('/admin/revert', { platform: name, checksum })
    expect(answer).toMatchObject({ status: 404, body: { error: 'not_found' } })
    expect(answer.body.archives).toHaveLength(2)
    for (const body of [
      { platform: name },
      { platform: name, checksum: 'abc' },
      { platform: name, checksum, tenant_id: null },
      { platform: name, checksum, on_error: 'go' },
      { platform: name, checksum, archive: 1 },
    ]) {
      expect(await gateway.post('/admin/revert', body)).toMatchObject({ status: 400 })
    }
    const none = uniqueName('older')
    const missing = await gateway.post('/admin/revert', { platform: none, checksum })
    expect(missing.status).toBe(404)
  })

  test('KEPT_ARCHIVES bounds what is kept, by when it was deployed last', async () => {
    const other = await startTestGateway({ KEPT_ARCHIVES: '2' })
    try {
      const name = uniqueName('older')
      const archives = await Promise.all(
        ['a', 'b', 'c'].map((text) => pack(textFunction('motto', text))),
      )
      const kept = async () => {
        const { body } = await other.get(`/admin/archives?platform=${name}`)
        return body.archives.map((one: Json) => [one.size_bytes !== null, one.databases])
      }
      const [a, b, c] = archives as [Uint8Array, Uint8Array, Uint8Array]
      for (const archive of [a, b]) await other.register(name, archive)
      await other.register(name, a, undefined, { allow: 'older' })
      await other.register(name, c)
      expect(await kept()).toEqual([
        [true, 1],
        [false, 0],
        [true, 0],
      ])
    } finally {
      await other.stop()
    }
  })

  test('an archive in place that was never kept is kept when a container brings it', async () => {
    const { name, second } = await newPlatform()
    const { database } = gateway.server
    const forget = `update _db_gateway_archives set packed = null, last_deployed_at = null
      where platform = '${name}'`
    await queryDatabase(database, forget, { asGateway: true })
    await gateway.register(name, second)
    const { body } = await gateway.get(`/admin/archives?platform=${name}`)
    expect(body.archives.map((one: Json) => one.size_bytes)).toEqual([second.length, null])
  })
})
