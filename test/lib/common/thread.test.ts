import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { PROJECT } from '../../helpers/gateway.ts'

test('a thread that has answered does not keep its process alive', async () => {
  const parser = join(PROJECT, 'lib/deploy/parser/parser.ts')
  const program = `import { splitStatements } from ${JSON.stringify(parser)}
    const patience = setTimeout(() => {}, 60_000)
    console.log((await splitStatements('select 1; select 2')).length)
    clearTimeout(patience)`
  const loader = join(PROJECT, 'scripts/typescript.mjs')
  const args = ['--import', loader, '--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 20_000 })
  expect(stdout).toBe('2\n')
})
