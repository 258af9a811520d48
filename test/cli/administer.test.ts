import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type CliResult, cli, startCli } from '../helpers/cli.ts'
import { type CliSchema, newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { connectTo } from '../helpers/gateway.ts'

const gateway = await startOneGateway({ NUMERIC_FORMAT: 'number' })

/** A platform with a main database and a tenant. */
async function newPlatform(): Promise<CliSchema> {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  await schema.output('register', '--tenant', 'north')
  return schema
}

/** Of a table: the cells that are alike in each run. */
const table = (output: string, schema: CliSchema) =>
  stable(output, schema)
    .replace(/\d+ MB/g, '<size>')
    .replace(/ {2,}/g, '  ')

describe('call', () => {
  test('shows rows as a table, with exact numbers, and as JSON', async () => {
    const schema = await newSchema(gateway.url)
    await schema.write(
      'functions/types.pssql',
      `create function types(p_id bigint, p_text text, p_list int[] default '{}', p_json json default null)
       returns table (o_id bigint, o_text text, o_list int[], o_json json)
       language sql stable as $$ select p_id, p_text, p_list, p_json union all select 1, null, null, null $$;`,
    )
    await schema.output('register', '--tenant', 'main')
    const args = ['9007199254740993', '007', '[1,2]', '{"a": 1.10}']
    const call = (...more: string[]) => schema.output('call', 'types', ...more)
    expect(stable(await call(...args), schema)).toBe(
      `            o_id  o_text  o_list  o_json
9007199254740993  007     [1,2]   {"a": 1.10}
               1  ∅       ∅       ∅
2 rows (… ms)
`,
    )
    const json = await call('p_id=-5', 'p_text=5', '--json')
    expect(JSON.parse(json).rows[0]).toEqual({ o_id: -5, o_text: '5', o_list: [], o_json: null })
    expect(await call('--json', ...args)).toContain('"o_json":{"a": 1.10}')
    // What looks like a flag is an argument behind --.
    expect(await call('1', '--json', '--', '--x')).toContain('"o_text":"--x"')
    expect(await call('--json', '--params', '{"p_id":9007199254740993,"p_text":"a=b"}')).toContain(
      '{"o_id":9007199254740993,"o_text":"a=b"',
    )
    const named = await schema.run('call', 'types', 'a=b')
    expect(named.err).toContain('An argument with "=" is name=value')
    const wrong = await schema.run('call', 'types', 'x', 'y')
    expect(wrong).toMatchObject({ code: 1, out: '' })
    expect(wrong.err).toContain('invalid_request: Parameter p_id (bigint) does not convert')
  })

  test.each([
    [['p_id=1', '2'], /Some arguments are name=value/],
    [['a=1', 'a=2'], /a is given twice/],
    [['1', '--params', '[]'], /exclude each other/],
    [['--params', '5'], /must be a JSON array or object/],
  ])('of %j is a mistake', async (args, message) => {
    const env = { GATEWAY_URL: gateway.url, GATEWAY_PLATFORM: 'shop' }
    const { code, err } = await cli(['call', 'f', ...args], { env })
    expect({ code, err }).toEqual({ code: 2, err: expect.stringMatching(message) })
  })

  test('does not let rows steer the terminal, and fits it', async () => {
    const schema = await newSchema(gateway.url)
    await schema.write(
      'functions/bad.pssql',
      `create function bad() returns text language sql stable as $$ select E'\\x1b[2J' || repeat('x', 100) $$;`,
    )
    await schema.output('register')
    const { out } = await startCli(['call', 'bad'], { ...schema.options, columns: 30 }).ended
    expect(out).not.toContain('\u001b[2J')
    const lines = stripVTControlCharacters(out).split('\n')
    expect(lines[1]).toBe(`\\u001b[2J${'x'.repeat(20)}…`)

    // Nor JSON and documents, and not by the controls of ISO 6429 and Unicode either.
    await schema.write(
      'functions/worse.pssql',
      `create function worse() returns text language sql stable as $$ select E'\\u009b2J\\u202e' $$;
comment on function worse() is E'\\u009b2J\\u202e';`,
    )
    await schema.output('register')
    for (const args of [['call', 'worse', '--json'], ['types'], ['openapi']]) {
      const options = { ...schema.options, columns: 80 }
      const shown = stripVTControlCharacters((await startCli(args, options).ended).out)
      expect(shown).toContain('\\u009b2J\\u202e')
      expect(shown).not.toMatch(/[\u0080-\u009f\u202e]/)
      if (args[0] !== 'types') expect(JSON.stringify(JSON.parse(shown))).toContain('\u009b2J\u202e')
    }
  })
})

describe('looking', () => {
  test('status shows who is on which schema, and drift what was changed by hand', async () => {
    const schema = await newPlatform()
    expect(await schema.run('status', '--check')).toMatchObject({ code: 3 })
    expect(await schema.run('drift', '--check')).toMatchObject({ code: 3 })
    await gateway.query(`${schema.platform}_north`, 'create table by_hand (id int)')
    const drift = await schema.run('drift', '--check')
    expect(drift.code).toBe(0)
    expect(stable(drift.out, schema)).toContain(
      'shop_north against main\n  + table public.by_hand extra\n',
    )
    expect(JSON.parse(await schema.output('drift', '--json')).groups).toHaveLength(1)

    await schema.write('migrations/002_x.pssql', 'create table x ();')
    await schema.output('migrate', '--tenant', 'main')
    const { code, out } = await schema.run('status', '--check')
    expect(code).toBe(0)
    expect(table(out, schema)).toMatch(
      /^shop at http:\/\/127.0.0.1:\d+ \(version .*\)\ndatabase {2}schema {2}deployed {2}size {2}state\nshop_main {2}<checksum> {2}<time> {2}<size> {2}current\nshop_north {2}<checksum> {2}<time> {2}<size> {2}pending\n2 databases, 1 not on the newest schema\n$/,
    )
    const { databases } = JSON.parse(await schema.output('status', '--json'))
    expect(databases).toHaveLength(2)
  })

  test('history lists the deploys, and logs who changed what, also while it happens', async () => {
    const schema = await newPlatform()
    await schema.write('migrations/002_x.pssql', 'create tabel x ();')
    await schema.run('register', '--tenant', 'north')
    expect(table(await schema.output('history', '--tenant', 'north'), schema)).toBe(
      `deployed  database  schema  status  what
<time>  shop_north  <checksum>  failed  migrations/002_x.pssql:1 syntax error at or near "tabel"
<time>  shop_north  <checksum>  completed  1 migration, 2 functions
`,
    )
    expect(await schema.output('history', '--limit', '1', '--json')).toContain('"count":1')
    const logs = table(await schema.output('logs', '--limit', '2'), schema).split('\n')
    expect(logs[0]).toMatch(/^<time> {2}200 {2}register {2}shop\/north {2}\d/)
    expect(logs[1]).toMatch(/^<time> {2}422 {2}register {2}shop\/north {2}migration_failed {2}/)

    // logs --follow goes on until Ctrl-C.
    let isAsked = false
    const running = startCli(['logs', '--follow', '--json', '--limit', '1'], {
      ...schema.options,
      onOutput: (output) => {
        if (output.includes('label_tenant')) running.interrupt()
        else if (!isAsked) {
          isAsked = true
          void schema.run('tenants', 'label', 'north', 'plan:pro')
        }
      },
    })
    const { code, out }: CliResult = await running.ended
    expect(code).toBe(0)
    const actions = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).action)
    expect(actions).toEqual(['register', 'label_tenant'])
  })
})

test('logs --follow tells how a request that ran has ended', async () => {
  const schema = await newPlatform()
  await schema.write('migrations/002_wait.pssql', 'select pg_advisory_xact_lock(9);')
  const sql = connectTo(`${schema.platform}_main`)
  await sql`select pg_advisory_lock(9)`
  const deploy = schema.run('register')
  let isHeld = true
  const running = startCli(['logs', '--follow', '--json'], {
    ...schema.options,
    onOutput: (output) => {
      const lines = output.trim().split('\n')
      const { action, status } = JSON.parse(lines.at(-1)!)
      if (isHeld && action === 'register' && status === null) {
        isHeld = false
        void sql.end()
      } else if (!isHeld) running.interrupt()
    },
  })
  const { out } = await running.ended
  await deploy
  const [before, after] = out
    .trim()
    .split('\n')
    .slice(-2)
    .map((line) => JSON.parse(line))
  expect(before).toMatchObject({ action: 'register', status: null })
  expect(after).toMatchObject({ id: before.id, status: 200 })
})

test('revert lists archives, and takes the code back', async () => {
  const schema = await newPlatform()
  const { checksum } = JSON.parse(await schema.output('register', '--json'))
  await schema.write(
    'functions/more.pssql',
    'create function more() returns int language sql as $$ select 1 $$;',
  )
  await schema.output('migrate')
  expect(table(await schema.output('revert'), schema)).toBe(
    `archive  first deployed  last deployed  databases  kept
<checksum>  <time>  <time>  2  yes
<checksum>  <time>  <time>  0  yes
`,
  )
  expect(await schema.run('revert', checksum.slice(0, 6))).toMatchObject({ code: 2 })
  expect(await schema.run('revert', checksum.slice(0, 6), '--json')).toMatchObject({ code: 2 })
  expect(await schema.run('revert', '0000', '--yes')).toMatchObject({ code: 1 })
  const done = stable(await schema.output('revert', checksum.slice(0, 6), '--yes'), schema)
  expect(done).toContain('✓ shop_north (… ms)\n✓ 2 databases on <checksum>: 2 functions')
  expect((await gateway.call(schema.platform, 'more')).status).toBe(404)
})

test('tenants: a whole life', async () => {
  const schema = await newPlatform()
  const tenants = async (...args: string[]) =>
    stable(await schema.output('tenants', ...args), schema)
  expect(await tenants('create', 'west', '--label', 'plan:pro')).toBe('✓ shop_west is made\n')
  expect((await gateway.call(schema.platform, 'add_note', ['x'], 'west')).status).toBe(200)
  expect(await tenants('create', 'west', '--if-not-exists')).toBe('✓ shop_west exists\n')
  expect(await schema.run('tenants', 'create', 'west')).toMatchObject({ code: 1 })
  expect(await tenants('label', 'west', 'plan:', 'region:eu')).toBe('✓ shop_west: region:eu\n')
  expect(await tenants('suspend', 'west', '--message', 'Please pay', '--retry-after', '60')).toBe(
    '✓ shop_west is suspended: its calls are 503\n',
  )
  expect(table(await tenants('list'), schema)).toBe(
    `tenant  state  schema  deployed  labels  message
north  active  <checksum>  <time>
west  suspended  <checksum>  <time>  region:eu  Please pay
`,
  )
  expect(await tenants('list', '--state', 'active', '--json')).toContain('"count":1')
  const asked = await schema.run('call', 'list_notes', '--tenant', 'west')
  expect(asked.err).toContain('tenant_suspended: Please pay')
  expect(await tenants('resume', 'west')).toBe('✓ shop_west is active\n')

  expect(await schema.run('tenants', 'drop', 'west')).toMatchObject({ code: 2 })
  expect(
    (await schema.run('tenants', 'drop', 'west', '--confirm', 'x', '--no-dump')).err,
  ).toContain('confirm is not the name of the database of the tenant')
  const drop = (...args: string[]) =>
    tenants('drop', 'west', '--no-dump', '--confirm', `${schema.platform}_west`, ...args)
  expect(await drop('--after-hours', '1.5')).toBe(
    '✓ shop_west is suspended, and dropped <time> UTC\n',
  )
  expect(await drop()).toBe('✓ shop_west is dropped, without a dump\n')
  expect(await tenants('list', '--label', 'region:eu')).toBe('no tenant\n')
})
