import { expect, test } from 'vitest'
import { diffLines, withContext } from '../../lib/common/diff-lines.ts'
import { newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'

const gateway = await startOneGateway({ ADMIN_TOKEN: 'secret-of-administrators' })

const TOKEN = ['--token', 'secret-of-administrators']

test('plan shows migrations, code with a diff, changes of tables and locks', async () => {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  await schema.output('register', '--tenant', 'north')
  await schema.write('migrations/002_due.pssql', 'alter table notes add due date;')
  await schema.write(
    'functions/list_notes.pssql',
    `create or replace function list_notes(p_limit integer default 20)
returns table (o_note_id bigint, o_body text, o_made_at timestamptz)
language sql stable as $$
    select note_id, body, made_at from notes order by due, note_id limit p_limit;
$$;
`,
  )
  await schema.write(
    'functions/bye.pssql',
    "create function bye() returns text language sql immutable as $$ select 'Bye' $$;\n",
  )
  expect(stable(await schema.output('plan', ...TOKEN), schema)).toBe(
    `postgresql  5 files: 2 migrations, 3 functions (<checksum>)

shop_main, shop_north
  Migrations
    + 002_due.pssql
  Tables
    + notes.due  column added  date
  Functions
    + public.bye()
    ~ public.list_notes(integer)
  Locks
    · notes  AccessExclusive: blocks reads and writes

functions/bye.pssql  added
  + create function bye() returns text language sql immutable as $$ select 'Bye' $$;

functions/list_notes.pssql  changed
    returns table (o_note_id bigint, o_body text, o_made_at timestamptz)
    language sql stable as $$
  -     select note_id, body, made_at from notes order by note_id limit p_limit;
  +     select note_id, body, made_at from notes order by due, note_id limit p_limit;
    $$;
`,
  )
  // Without the token the rest is shown.
  const plain = await schema.output('plan', '--check')
  expect(plain).toContain('+ 002_due.pssql')
  expect(plain).toContain('No diff: the gateway does not show the archive in place')
  expect(await schema.output('migrate', '--dry-run')).toContain('+ 002_due.pssql')

  await schema.output('migrate')
  const done = await schema.run('plan', '--check')
  expect(done.code).toBe(3)
  expect(stable(done.out, schema)).toContain('shop_main, shop_north\n  nothing to do\n')
  const { code, out } = await schema.run('plan', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ status: 'dry_run', plan: [{}, {}] })
})

test('a plan that loses data is refused, with each loss', async () => {
  const schema = await newSchema(gateway.url)
  await schema.write('migrations/002_more.pssql', "create table old as select 'x' as name;")
  await schema.output('register')
  await schema.write('migrations/003_less.pssql', 'alter table old drop name;')
  const refused = await schema.run('plan')
  expect(refused.code).toBe(1)
  expect(stable(refused.err, schema)).toContain(
    '  - migrations/003_less.pssql:1  old.name  column dropped  1 row\n',
  )
  // The plan is shown all the same.
  expect(refused.out).toContain('! old.name  column dropped  text  (data_loss)')
  const allowed = await schema.output('plan', '--allow', 'data_loss')
  expect(allowed).toContain('! old.name  column dropped  text  (data_loss)')
})

test('GET /admin/archives/{checksum} gives an archive that is kept, to administrators', async () => {
  const schema = await newSchema(gateway.url)
  const { checksum } = JSON.parse((await schema.run('register', '--json')).out)
  const get = (sum: string, platform = schema.platform) =>
    gateway.get(`/admin/archives/${sum}?platform=${platform}`, {
      authorization: 'Bearer secret-of-administrators',
    })
  const found = await get(checksum)
  expect(found.status).toBe(200)
  expect(found.headers.get('content-type')).toBe('application/gzip')
  expect(await get('0'.repeat(64))).toMatchObject({ status: 404, body: { error: 'not_found' } })
  expect(await get(checksum, 'another')).toMatchObject({ status: 404 })
  expect(await get('x')).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  expect(await gateway.get(`/admin/archives/${checksum}?platform=x`)).toMatchObject({ status: 401 })
})

test('a difference has the fewest lines, and its surroundings', () => {
  const shown = (before: string, after: string, context?: number) =>
    withContext(diffLines(before, after), context).map(({ kind, text }) => kind + text)
  expect(shown('a\nb\nc\nd\n', 'a\nx\nc\ny\nd\n')).toEqual([' a', '-b', '+x', ' c', '+y', ' d'])
  const lines = (...some: number[]) => some.map((i) => `${i}\n`).join('')
  expect(shown(lines(1, 2, 3, 4, 5, 6, 7), lines(0, 1, 2, 3, 4, 5, 6, 8), 1)).toEqual([
    '+0',
    ' 1',
    ' …',
    ' 6',
    '-7',
    '+8',
  ])
  expect(shown('', 'a')).toEqual(['+a'])
  expect(shown('a\n', 'a\n')).toEqual([])
  expect(shown('a\n', '')).toEqual(['-a'])
})
