import { beforeAll, expect, test } from 'vitest'
import { type CliSchema, newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'

const UUID = '0b5d6a3e-8f1c-4d6e-9f57-0a4c3b2d1e0f'

const gateway = await startOneGateway({ TEMPLATES: 'off' })
let schema: CliSchema
beforeAll(async () => {
  schema = await newSchema(gateway.url)
  await schema.output('register')
  await schema.output('register', '--tenant', 'north')
  // The folder is gone after the first test.
  schema.env.GATEWAY_PLATFORM = schema.platform
})

/** The output of a command that has to succeed, without what differs from run to run. */
const outputOf = async (of: CliSchema, ...args: string[]) =>
  stable(await of.output(...args), of)
    .replace(/\d+ MB/g, '<size>')
    .replace(/held for .*?,/g, 'held for <ms>,')
    .replace(/\d+\.\d\d\b/g, '<seconds>')
    .replace(/\d{4}-\d\d-\d\d/g, '<day>')
    .replace(/ {2,}/g, '  ')
const output = (...args: string[]) => outputOf(schema, ...args)
const tenants = (...args: string[]) => output('tenants', ...args)

test.each([
  [['rename', 'north'], '--to is missing: the new id'],
  [['move', 'north'], '--to is missing: the name of the server'],
  [['clone', '--to', 'x'], 'Which tenant? Give its id, or --schema and --uuid'],
  [['label', '--uuid', 'x', 'plan:pro'], '--uuid needs --schema'],
  [['suspend', '--schema', 'x'], '--schema needs --uuid: which tenant?'],
  [['resume', 'north', '--schema', 'x', '--uuid', 'y'], 'north and --schema are both given'],
  [['limit', 'north', '--callable-schemas', 'a,,b'], '--callable-schemas takes names'],
])('tenants %j is a mistake', async (args, message) => {
  const { code, err } = await schema.run('tenants', ...args)
  expect([code, err]).toEqual([2, expect.stringContaining(message)])
})

test('clone copies a tenant, rename renames it, and calls follow', async () => {
  await schema.output('call', 'add_note', 'Milk', '--tenant', 'north')
  expect(await tenants('clone', 'north', '--to', 'trial', '--label', 'env:staging')).toBe(
    '✓ shop_north is copied to shop_trial: <size>, calls were held for <ms>, env:staging\n',
  )
  expect(await tenants('rename', 'trial', '--to', 'test')).toBe(
    '✓ shop_trial is renamed shop_test\n',
  )
  expect(await output('call', 'list_notes', '--tenant', 'test')).toContain('Milk')
  const held = JSON.parse(
    await schema.output('tenants', 'rename', 'test', '--to', 't', '--hold', '--json'),
  )
  expect(held).toMatchObject({ status: 'renamed', tenant_id: 't', labels: { env: 'staging' } })
  const taken = await schema.run('tenants', 'clone', 'north', '--to', 't')
  expect([taken.code, taken.err]).toEqual([1, expect.stringContaining('database_already_exists')])
  await tenants('drop', 't', '--no-dump', '--confirm', `${schema.platform}_t`)
})

test('limit sets limits, takes them away, and shows them', async () => {
  expect(await tenants('limit', 'north')).toBe('shop_north: no limit\n')
  const numbers = [
    '--connections',
    '1',
    '--calls-per-second',
    '50',
    '--statement-timeout-ms',
    '2000',
  ]
  expect(await tenants('limit', 'north', ...numbers, '--callable-schemas', 'public,api')).toBe(
    '✓ shop_north: 1 connection, 50 calls a second, statements of 2000 ms, schemas public api\n',
  )
  expect(await tenants('limit', 'north', '--read-only', '--connections', 'none')).toContain(
    '✓ shop_north: 50 calls a second, ',
  )
  const refused = await schema.run('call', 'add_note', 'x', '--tenant', 'north')
  expect(refused.err).toContain('tenant_read_only')
  const none = ['--calls-per-second', 'none', '--callable-schemas', 'none', '--no-read-only']
  await tenants('limit', 'north', ...none)
  expect(JSON.parse(await schema.output('tenants', 'limit', 'north', '--json'))).toEqual({
    tenant_id: 'north',
    database: `${schema.platform}_north`,
    limits: { statement_timeout_ms: 2000 },
  })
  expect(await tenants('limit', 'main', '--calls-per-second', '9')).toBe(
    '✓ shop_main: 9 calls a second\n',
  )
  expect(await tenants('limit', 'main')).toBe('shop_main: 9 calls a second\n')
  await tenants('limit', 'main', '--calls-per-second', 'none')
  const { err } = await schema.run('tenants', 'limit', 'north', '--connections', 'many')
  expect(err).toContain('limits.max_connections')
  expect(await schema.run('tenants', 'limit', 'nobody')).toMatchObject({
    code: 1,
    err: expect.stringContaining('There is no nobody in '),
  })
})

test('usage lists tenants and functions, the largest first', async () => {
  const own = await newSchema(gateway.url)
  await own.output('register', '--tenant', 'main')
  await own.output('register', '--tenant', 'east')
  for (const tenant of ['main', 'east', 'east']) {
    await own.output('call', 'list_notes', '--tenant', tenant)
  }
  await own.run('call', 'nothing', '--tenant', 'east')
  const usage = (...args: string[]) => outputOf(own, 'usage', ...args)
  expect(await usage('--order', 'calls')).toBe(`tenant  calls  errors  seconds  bytes  deploys
east  3  1  <seconds>  4  1
shop_main  1  0  <seconds>  2  1
<day> to <day>, by calls
`)
  expect(await usage('--by', 'function', '--order', 'calls', '--tenant', 'main', '--days')).toBe(
    `function  calls  errors  seconds  bytes  deploys
list_notes  1  0  <seconds>  2  0
  <day>  1  0  <seconds>  2  0
(other)  0  0  <seconds>  0  1
  <day>  0  0  <seconds>  0  1
<day> to <day>, by calls
`,
  )
  expect(await usage('--limit', '1')).toContain(
    'by database seconds; there are more: --limit all\n',
  )
  const all = JSON.parse(await own.output('usage', '--limit', 'all', '--json'))
  expect(all).toMatchObject({ platform: own.platform, by: 'tenant', count: 2, next_after: null })
  expect(await usage('--from', '2020-01-01', '--to', '2020-01-02')).toContain('no call yet\n')
  own.env.GATEWAY_TENANT = 'east'
  expect(await usage()).not.toContain('shop_main')
  expect(await usage('--all')).toContain('shop_main')
  expect(await own.output('history', '--all', '--json')).toContain('"count":2')
  expect(await own.run('usage', '--all', '--tenant', 'x')).toMatchObject({ code: 2 })
  expect(await own.run('usage', '--limit', 'most')).toMatchObject({ code: 2 })
  expect((await own.run('usage', '--from', 'today')).err).toContain('from must be a day in UTC')
})

test('a revert that fails says how to run it again, for the same databases', async () => {
  const own = await newSchema(gateway.url)
  await own.write(
    'functions/due.pssql',
    'create function due() returns bigint language sql as $$ select count(o_body) from (select body as o_body from notes) as n $$;',
  )
  const { checksum } = JSON.parse(await own.output('register', '--json'))
  await own.write(
    'functions/due.pssql',
    'create function due() returns bigint language sql as $$ select 1::bigint $$;',
  )
  await own.write(
    'functions/add_note.pssql',
    'create function add_note(p text) returns void language sql as $$ $$;',
  )
  await own.write(
    'functions/list_notes.pssql',
    'create function list_notes() returns void language sql as $$ $$;',
  )
  await own.write('migrations/002_gone.pssql', 'drop table notes;')
  await own.output('register', '--allow', 'data_loss')
  const { code, err } = await own.run('revert', checksum, '--tenant', 'main', '--yes')
  expect(code).toBe(1)
  expect(err).toContain(`database-gateway revert ${checksum.slice(0, 12)} --tenant main`)
})

test('tenants of schemas are named by --schema and --uuid', async () => {
  const own = await newSchema(gateway.url)
  const one = ['--schema', 'shop', '--uuid', UUID]
  const database = `shop_shop_${UUID.replaceAll('-', '_')}`
  const run = async (...args: string[]) => stable(await own.output(...args), own)
  await own.output('register')
  expect(await run('register', '--schema', 'shop')).toContain('✓ shop_shop is ready')
  expect(await run('register', ...one)).toContain(`✓ ${database} is ready`)
  expect(await run('call', 'add_note', 'Tea', ...one)).toContain('add_note\n       1\n')
  expect(await run('call', 'list_notes', '--schema', 'shop')).toContain('0 rows')
  expect(await run('history', ...one)).toContain(database)
  expect(await run('usage', ...one)).toContain(`shop/${UUID.replaceAll('-', '_')}  `)

  expect(await run('tenants', 'label', ...one, 'plan:pro', 'region:eu')).toBe(
    `✓ ${database}: plan:pro region:eu\n`,
  )
  expect(await run('tenants', 'suspend', ...one)).toContain(`${database} is suspended`)
  expect(await run('tenants', 'list')).toContain(`shop/${UUID.replaceAll('-', '_')}  suspended`)
  expect(await run('tenants', 'resume', ...one)).toBe(`✓ ${database} is active\n`)
  expect(await run('tenants', 'limit', ...one, '--calls-per-second', '7')).toContain('7 calls')
  expect(await run('tenants', 'limit', ...one)).toBe(`${database}: 7 calls a second\n`)
  expect(await run('tenants', 'limit', '--schema', 'shop')).toBe('shop_shop: no limit\n')

  await own.write('migrations/002_x.pssql', 'create table x ();')
  expect(await run('register', '--dry-run', ...one)).toContain(`
${database}
  Migrations
    + 002_x.pssql
  Tables
    + x  table created
`)
  const dry = JSON.parse(await own.output('register', '--dry-run', ...one, '--json'))
  expect(dry).toMatchObject({ status: 'dry_run', migrations_applied: 1 })
  const migrated = await run('migrate', '--schema', 'shop')
  expect(migrated).toContain(`✓ ${database} (… ms)\n✓ 2 databases on `)
  expect(migrated).not.toContain('shop_main')

  expect(await run('tenants', 'rename', ...one, '--to', 'b')).toBe(
    `✓ ${database} is renamed shop_shop_b\n`,
  )
  const b = ['--schema', 'shop', '--uuid', 'b', '--no-dump']
  const { platform } = own
  expect(await run('tenants', 'drop', ...b, '--confirm', `${platform}_shop_b`)).toContain('dropped')

  for (const [args, message] of [
    [['migrate', '--schema', 'shop', '--all'], '--all and --schema exclude each other'],
    [['migrate', ...one, '--label', 'a:b'], '--label and --uuid exclude each other'],
    [
      ['call', 'f', '--schema', 'shop', '--tenant', 'x'],
      '--tenant and --schema exclude each other',
    ],
    [['register', '--uuid', UUID], '--uuid needs --schema'],
  ] as const) {
    const { code, err } = await own.run(...args)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
  }
})
