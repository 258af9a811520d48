import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, inject, onTestFinished, test } from 'vitest'
import { readTap } from '../../lib/sql-tests/tap.ts'
import { CLI_PROGRAM, type CliOptions, cli, cliOutput, startCli } from '../helpers/cli.ts'
import { queryDatabase } from '../helpers/gateway.ts'
import { eventually, startProgram, temporaryFolder } from '../helpers/process.ts'

/** A schema as `init` writes it, with more tests. */
async function schemaWith(tests: Record<string, string>): Promise<CliOptions> {
  const folder = await temporaryFolder()
  await cliOutput(['init', '--platform', 'shop'], { folder })
  await mkdir(join(folder, 'tests', 'more'))
  for (const [name, text] of Object.entries(tests))
    await writeFile(join(folder, 'tests', name), text)
  return { folder, env: { DATABASE_URL: inject('databaseUrl') } }
}

const superuser = { asGateway: true, url: inject('superuserUrl') }

const stable = (text: string) => text.replace(/\((\d+ ms|[\d.]+ s)/g, '(… ms')

/** Databases and roles that a run would leave behind. */
async function leftOvers(): Promise<number> {
  const [row] = await queryDatabase(
    'postgres',
    `select (select count(*)::int from pg_database where datname ~ '^(gateway_)?test_[0-9a-f]{8}')
       + (select count(*)::int from pg_roles where rolname ~ '^gw_test_[0-9a-f]{8}') as n`,
    { asGateway: true },
  )
  return row.n
}

beforeAll(async () => {
  expect(await leftOvers()).toBe(0)
})

test('test runs each file in a transaction of its own, and says what was called', async () => {
  const options = await schemaWith({
    'a.sql': "begin;\ndo $$ begin raise notice 'hello'; perform add_note('a'); end $$;\nrollback;",
    // Rows are assertions in files of pgTAP alone, however many they are.
    'many.sql': "select 'not ok' from generate_series(1, 200000);",
    // It sees no row of the others.
    'more/b.sql': "do $$ begin assert (select count(*) from notes) = 0, 'no note'; end $$;",
  })
  expect(stable(await cliOutput(['test', '--jobs', '1'], options))).toBe(`✓ tests/a.sql (… ms)
✓ tests/many.sql (… ms)
✓ tests/more/b.sql (… ms)
✓ tests/notes.sql (… ms)

4 tests passed
Which functions were called is not known: a superuser has to run "grant set on parameter track_functions to "gateway"" first
`)
  expect(await leftOvers()).toBe(0)
})

test('a test that fails is shown with its place, and in TAP, JUnit and JSON', async () => {
  const options = await schemaWith({
    'assert.sql': `-- two lines before the block

do $$
begin
    raise notice 'so far <so> good';
    assert (select count(*) from list_notes()) = 1, 'one note';
end $$;`,
    'commit.sql': "select add_note('x');\ncommit;",
    'deferred.sql': `create table later (id int references notes (note_id) deferrable initially deferred);
insert into later values (1);`,
    'tap.sql': `select plan(3);
savepoint s;
select 'ok 1 - fine';
select E'not ok 2 - add\\n# Failed test 2: "add"';
rollback to s;
create function pg_temp.x() returns text language sql as $$ select 'not ok 3 # TODO later' $$;
select pg_temp.x();`,
    'typo.sql': 'select add_note(5, 6);',
  })
  await writeFile(
    join(options.folder!, 'postgresql/functions/plan.sql'),
    "create function plan(p int) returns text language sql as $$ select '1..' || p $$;",
  )
  await queryDatabase('postgres', 'grant set on parameter track_functions to gateway', superuser)
  onTestFinished(async () => {
    await queryDatabase(
      'postgres',
      'revoke set on parameter track_functions from gateway',
      superuser,
    )
  })
  const human = await cli(['test', '--only', '.sql', '--junit', 'out/junit.xml'], options)
  expect(human.code).toBe(1)
  const shown = stable(human.out)
  expect(shown).toContain(`✗ tests/assert.sql (… ms)
  one note
  tests/assert.sql:6
  6 |     assert (select count(*) from list_notes()) = 1, 'one note';
  NOTICE: so far <so> good
`)
  expect(shown).toContain(`✗ tests/commit.sql (… ms)
  A test runs in a transaction that is rolled back: it may begin with BEGIN and end with ROLLBACK, and must not commit
  tests/commit.sql:2
  2 | commit;
`)
  expect(shown).toContain('violates foreign key constraint "later_id_fkey"')
  expect(shown).toContain(`✗ tests/tap.sql (… ms, 3 assertions)
  add
  Failed test 2: "add"
`)
  expect(shown).toContain(`  tests/typo.sql:1
  1 | select add_note(5, 6);
    |        ^
`)
  expect(shown).toContain('\n1 test passed, 5 failed\n3 of 3 functions called\n')

  const junit = await readFile(join(options.folder!, 'out/junit.xml'), 'utf8')
  expect(junit).toContain('tests="6" failures="5" skipped="0"')
  expect(junit).toContain('<failure message="one note">tests/assert.sql:6')
  expect(junit).toContain('<system-out>NOTICE: so far &lt;so&gt; good</system-out>')

  const tap = await cli(['test', '--tap', '--only', 'typo'], options)
  expect(tap.code).toBe(1)
  expect(tap.out).toMatch(/^TAP version 14\n1\.\.1\nnot ok 1 - tests\/typo\.sql\n {2}---\n/)
  expect(tap.out).toContain('\n  at: "tests/typo.sql:1"\n')
  expect(readTap(tap.out.split('\n'))).toMatchObject({ passed: 0, problem: undefined })

  const json = JSON.parse((await cli(['test', '--json', '--only', 'notes'], options)).out)
  expect(json).toMatchObject({
    results: [{ path: 'tests/notes.sql', status: 'passed', notices: [] }],
    coverage: { called: ['add_note(p_body text)', 'list_notes(p_limit integer)'] },
  })
  expect(await leftOvers()).toBe(0)
})

test('what needs psql is refused before it runs, its settings are passed over', async () => {
  const options = await schemaWith({
    'copy.sql': 'copy notes from stdin;',
    'data.sql': 'select 1;\ncopy notes from stdin;\n1\ta\n\\.\n',
    'out.sql': '\ncopy notes to stdout;',
    'include.sql': '\\i other.sql\nselect 1;',
    'leave.sql': 'rollback; drop table notes;',
    'lone.sql': 'rollback;',
    'set.sql': '\\unset ECHO\n\\set QUIET 1\n\\pset format unaligned\nbegin;\nselect 1;\nrollback;',
  })
  const { code, out } = await cli(['test', '--jobs', '1', '--no-coverage'], options)
  expect(code).toBe(1)
  const copies = 'COPY from stdin or to stdout needs a client'
  expect(out).toContain(`tests/copy.sql`)
  expect(out.split(copies)).toHaveLength(3)
  expect(out).toContain('COPY with data needs psql')
  expect(out).toContain('tests/data.sql:2')
  expect(out).toContain('tests/out.sql:2')
  expect(out).toContain('\\i is a command of psql')
  expect(out.split('must not commit')).toHaveLength(3)
  expect(out).toContain('✓ tests/set.sql')
  expect(out).toContain('2 tests passed, 6 failed')
})

test('test shows an error of the schema, and what is wrong with its arguments', async () => {
  const options = await schemaWith({})
  await writeFile(join(options.folder!, 'postgresql/migrations/002_x.sql'), 'create tabel x ();')
  const { code, err } = await cli(['test'], options)
  expect(code).toBe(1)
  expect(err).toContain('migrations/002_x.sql:1  syntax error at or near "tabel"')
  expect(await cli(['test', '--jobs', '0'], options)).toMatchObject({ code: 2 })
  expect(await cli(['test', '--only', 'none'], options)).toMatchObject({
    code: 1,
    err: expect.stringContaining('No test has "none" in its path'),
  })
  expect(await leftOvers()).toBe(0)
})

test('a test that is ended from outside leaves nothing behind', async () => {
  const options = await schemaWith({ 'wait.sql': 'select pg_sleep(597);' })
  const running = startCli(['test', '--jobs', '1'], options)
  await eventually('the test runs', async () => {
    const waiting = `select from pg_stat_activity where state = 'active' and query ~ '^select pg_sleep.597.'`
    return (await queryDatabase('postgres', waiting, { asGateway: true })).length > 0
  })
  running.terminate()
  const { code, out } = await running.ended
  expect(code).toBe(1)
  expect(out).toContain('1 test passed, 1 not run')
  expect(await leftOvers()).toBe(0)

  // A reader that has enough.
  const { PATH = '' } = process.env
  const line = `${CLI_PROGRAM} test --tap --only notes | head -n 1`
  const env = { PATH, ...(options.env as Record<string, string>) }
  const piped = startProgram('sh', ['-c', line], { cwd: options.folder!, env })
  await piped.exit
  expect(piped.output()).toContain('TAP version 14\n')
  await eventually('nothing is left', async () => (await leftOvers()) === 0)
})

test('settings that do not parse are one line', async () => {
  const { folder } = await schemaWith({})
  const result = await cli(['test', '--database-url', 'http://x'], { folder: folder! })
  expect(result).toMatchObject({
    code: 1,
    err: expect.stringMatching(/^DATABASE_URL: is not .*\n$/),
  })
})

test('a server of another machine is no place for tests unless it was meant for them', async () => {
  const { folder } = await schemaWith({})
  const url = 'postgres://owner:hidden@db.invalid/prod'
  const parts: Record<string, string> = { DB_HOST: 'db.invalid', DB_PASSWORD: 'hidden' }
  for (const env of [{ DATABASE_URL: url } as typeof parts, parts]) {
    const refused = await cli(['test'], { folder: folder!, env })
    expect(refused.code).toBe(2)
    expect(refused.err).toMatch(/@db\.invalid:5432\/\S+ is not of this machine/)
    expect(refused.err).not.toContain('hidden')
  }
  const env = { DATABASE_URL: url, CONNECT_TIMEOUT_SECS: '1' }
  const tried = await cli(['test', '--yes'], { folder: folder!, env })
  expect(tried).toMatchObject({ code: 1, err: expect.stringContaining('db.invalid') })
})

test('the Test Anything Protocol is read', () => {
  expect(readTap(['x', 'okay'])).toBeUndefined()
  expect(readTap(['ok 1 - a', '1..1'])).toEqual({ passed: 1, failed: [], problem: undefined })
  expect(readTap(['1..3', 'ok', 'not ok 2 - b', '# why', 'not ok 3 # SKIP c'])).toEqual({
    passed: 2,
    failed: ['b\nwhy'],
    problem: undefined,
  })
  expect(readTap(['1..2', 'ok 1'])?.problem).toBe('2 assertions are planned, and 1 ran')
})
