import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { cli, cliOutput } from '../helpers/cli.ts'
import { newSchema, stable } from '../helpers/cli-schema.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { PROJECT } from '../helpers/gateway.ts'

const gateway = await startOneGateway()

describe('register', () => {
  test('deploys what init wrote, from a folder, and says what it did', async () => {
    const { platform, folder, env, output } = await newSchema(gateway.url)
    expect(stable(await output('register'), { platform })).toBe(
      `postgresql  3 files: 1 migration, 2 functions (<checksum>)
✓ shop_main is ready: 1 migration, 2 functions changed (… ms)
`,
    )
    // Its test passes.
    const ownTest = await readFile(join(folder, 'tests/notes.sql'), 'utf8')
    await gateway.query(`${platform}_main`, ownTest)
    const again = await cliOutput(['register', '--files', '.'], { folder, env })
    expect(again).toContain('  functions/list_notes.pssql\n')
    expect(again).toContain('is ready: nothing to do')
    const { code, out } = await cli(['register', '--json', '--tenant', 'north'], { folder, env })
    expect(code).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ status: 'ready', database: `${platform}_north` })
  })

  test('shows where it fails: file, line and a caret', async () => {
    const { folder, env, write } = await newSchema(gateway.url)
    await write('migrations/002_due.pssql', '\nalter table notes\n    add due dat;\n')
    const { code, out, err } = await cli(['register'], { folder, env })
    expect({ code, out }).toMatchObject({ code: 1, out: expect.stringContaining('4 files') })
    expect(err.replace(/shop\w+/, 'shop_main')).toBe(
      `migration_failed: Migration 002_due.pssql failed (shop_main)
  migrations/002_due.pssql:3  type "dat" does not exist
  3 |     add due dat;
    |             ^
`,
    )
    await write(
      'migrations/002_due.pssql',
      `select '${'a'.repeat(1000)}', nope, '${'b'.repeat(1000)}';`,
    )
    const long = (await cli(['register'], { folder, env })).err.split('\n').slice(2)
    expect(long).toEqual([
      `  1 | …${'a'.repeat(197)}', nope, '${'b'.repeat(193)}…`,
      `    |  ${' '.repeat(200)}^`,
      '',
    ])
    await write('migrations/002_due.pssql', '\n\nalter table notes add due dat')
    const asJson = await cli(['register', '--json'], { folder, env })
    expect(JSON.parse(asJson.out)).toMatchObject({ error: 'migration_failed', line: 3 })
  })

  test('has each failure of functions below each other, and colour for a terminal', async () => {
    const { folder, env, write } = await newSchema(gateway.url)
    const bad = (name: string) =>
      `create function ${name}() returns int language sql as $$ select ${name} $$;`
    await write('functions/a.pssql', bad('a'))
    await write('functions/b.pssql', bad('b'))
    const plain = await cli(['register'], { folder, env })
    expect(plain.err).toContain('functions/a.pssql:1  column "a" does not exist')
    expect(plain.err).toContain('functions/b.pssql:1  column "b" does not exist')
    const { err } = await cli(['register'], { folder, env, columns: 80 })
    expect(err).toContain('\u001b[31m\u001b[1mfunction_deploy_failed')
  })

  test('refuses without asking what the gateway would refuse', async () => {
    const folder = join(PROJECT, 'handlers')
    const env = { GATEWAY_URL: 'http://127.0.0.1:1', GATEWAY_PLATFORM: 'shop' }
    const { code, err } = await cli(['register'], { folder, env })
    expect(code).toBe(1)
    expect(err).toContain('schema_extraction_failed: No postgresql/ folder inside')
  })
})
