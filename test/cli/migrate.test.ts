import { stripVTControlCharacters } from 'node:util'
import { describe, expect, test } from 'vitest'
import { drawFleet } from '../../cli/fleet/draw.ts'
import { styles } from '../../cli/terminal/style.ts'
import { startCli } from '../helpers/cli.ts'
import { newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { connectTo } from '../helpers/gateway.ts'
import { until } from '../helpers/process.ts'

const gateway = await startOneGateway()

/** A platform with a main database and these tenants. */
async function newFleet(...tenants: string[]) {
  const schema = await newSchema(gateway.url)
  await schema.output('register')
  for (const tenant of tenants) await schema.output('register', '--tenant', tenant)
  return schema
}

const DUE = 'alter table notes add due date;'

describe('migrate', () => {
  test('shows a line for each database, and what was done', async () => {
    const schema = await newFleet('north')
    await schema.write('migrations/002_due.pssql', DUE)
    expect(stable(await schema.output('migrate'), schema)).toBe(
      `postgresql  4 files: 2 migrations, 2 functions (<checksum>)
✓ shop_main (… ms)
✓ shop_north (… ms)
✓ 2 databases on <checksum>: 1 migration, 2 functions (… ms)
`,
    )
    const { code, out } = await schema.run('migrate', '--json', '--tenant', 'main')
    expect(code).toBe(0)
    expect(JSON.parse(out).databases_updated).toEqual([`${schema.platform}_main`])
    const one = await schema.output('migrate', '--tenant', 'north')
    expect(one).toContain('1 database on')
    expect(await schema.run('migrate', '--tenant', 'north', '--all')).toMatchObject({ code: 2 })
  })

  test('shows failures with their place, who is left, and what to run next', async () => {
    const schema = await newFleet('east', 'west')
    await schema.write('migrations/002_due.pssql', `-- when it is due\n${DUE}`)
    await gateway.query(`${schema.platform}_east`, 'alter table notes add due int')
    const { code, out, err } = await schema.run('migrate', '--on-error', 'stop')
    expect(code).toBe(1)
    expect(stable(out, schema)).toContain(
      '✗ shop_east  migrations/002_due.pssql:2  column "due" of relation "notes" already exists\n',
    )
    expect(stable(err, schema)).toBe(
      `migration_failed: 1 failed, 1 done, 1 not started

✗ shop_east
  migrations/002_due.pssql:2  column "due" of relation "notes" already exists
  2 | alter table notes add due date;

Done: shop_main
Not started: shop_west

Next
  Mend the file. The databases that failed are as they were before. Then:
  database-gateway migrate --on-error stop
  or, if the migration is another one now than where it has run:
  database-gateway migrate --on-error stop --repair
`,
    )
    await gateway.query(`${schema.platform}_east`, 'alter table notes drop due')
    expect(await schema.output('migrate', '--only-failed')).toContain('2 databases on')
  })

  test('says how to let data be lost', async () => {
    const schema = await newFleet()
    await gateway.call(schema.platform, 'add_note', ['Buy milk'])
    await schema.write('migrations/002_less.pssql', 'alter table notes drop body;')
    const { err } = await schema.run('migrate')
    expect(err).toContain('  - migrations/002_less.pssql:1  notes.body  column dropped  1 row\n')
    expect(err).toContain('Next\n  database-gateway migrate --allow data_loss\n')
  })

  test('says once that there is nothing to deploy to', async () => {
    const schema = await newFleet()
    const { code, err } = await schema.run('migrate', '--label', 'plan:none')
    expect(code).toBe(1)
    expect(stable(err, schema)).toBe(
      'database_not_found: No tenant of platform shop has the label plan:none\n',
    )
  })
})

test('a second Ctrl-C leaves, and the gateway finishes what it has begun', async () => {
  const schema = await newFleet()
  const database = `${schema.platform}_main`
  await schema.write(
    'migrations/002_wait.pssql',
    'select pg_advisory_xact_lock(7);\ncreate table waited ();',
  )
  const sql = connectTo(database)
  await sql`select pg_advisory_lock(7)`
  let presses = 0
  const running = startCli(['migrate'], {
    ...schema.options,
    columns: 60,
    onOutput: (output) => {
      const isSeen = [output.includes('now  '), output.includes('Ctrl-C again leaves')]
      if (presses < 2 && isSeen[presses]) {
        presses++
        running.interrupt()
      }
    },
  })
  const { code, err } = await running.ended
  await sql.end()
  expect(code).toBe(1)
  expect(stable(stripVTControlCharacters(err), schema)).toBe(
    'Left. The gateway finishes what it has begun (shop_main). Then: database-gateway migrate\n',
  )
  const done = () => gateway.query(database, "select from pg_class where relname = 'waited'")
  await until(async () => (await done()).length === 1)
})

test('a drawing fits the terminal, and lists failures below the bar', () => {
  const failed = Array.from({ length: 7 }, (_, i) => ({
    database: `shop_${i}`,
    error: { message: 'failed', cause: 'x'.repeat(100) },
  }))
  const fleet = { total: 12, done: 6, running: ['shop_a', 'shop_b'], failed, end: undefined }
  expect(drawFleet(fleet, '', styles(false), 41)).toEqual([
    `${'█'.repeat(12)}${'░'.repeat(12)}  6/12`,
    '  now  shop_a, shop_b',
    ...[0, 1, 2, 3, 4].map((i) => `✗ shop_${i}  ${'x'.repeat(29)}…`),
    '  and 2 more failures',
  ])
  const note = 'stopping: what has begun is finished; Ctrl-C again leaves'
  for (const columns of [80, 60, 20, 5, 3]) {
    const lines = drawFleet(fleet, note, styles(false), columns)
    expect(lines).toHaveLength(9)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns)
  }
})
