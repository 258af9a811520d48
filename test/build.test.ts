import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { createAdminDatabase, dropAdminDatabase, PROJECT, uniqueName } from './helpers/gateway.ts'
import {
  afterTest,
  call,
  gatewayEnvironment,
  register,
  startProgram,
  temporaryFolder,
} from './helpers/process.ts'

const TSC = join(PROJECT, 'node_modules/typescript/bin/tsc')

/** The compiled gateway, in a folder of the project: Node.js finds packages from there. */
async function build(): Promise<string> {
  const folder = await mkdtemp(join(PROJECT, 'test-build-'))
  afterTest(() => rm(folder, { recursive: true }))
  const project = join(PROJECT, 'tsconfig.build.json')
  await promisify(execFile)(process.execPath, [TSC, '--project', project, '--outDir', folder])
  const copy = join(PROJECT, 'scripts/copy-sources.mjs')
  await promisify(execFile)(process.execPath, [copy, folder])
  return folder
}

test('npm run build makes a gateway of JavaScript, which starts, deploys and answers calls', async () => {
  const { scripts } = JSON.parse(await readFile(join(PROJECT, 'package.json'), 'utf8'))
  expect(scripts.build).toContain('tsc --project tsconfig.build.json')
  expect(scripts.build).toContain('node scripts/copy-sources.mjs dist')
  const folder = await build()
  expect(existsSync(join(folder, 'test'))).toBe(false)

  const databaseUrl = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(databaseUrl))
  const program = startProgram(process.execPath, [join(folder, 'server.js')], {
    cwd: await temporaryFolder(),
    env: gatewayEnvironment({ DATABASE_URL: databaseUrl, GATEWAY_PORT: '0' }),
  })
  const { message } = JSON.parse(await program.line('Listening on '))
  const url = message.replace('Listening on ', '')
  const platform = uniqueName('build')
  const files = {
    'functions/twice.pssql': `
      create or replace function twice(number integer) returns integer language sql
      as $$ select 2 * number $$;`,
  }
  // Both threads run: one splits files, the other judges functions.
  expect(await register(url, platform, files)).toMatchObject({ status: 200 })
  expect((await call(url, platform, 'twice', [21])).body.rows).toEqual([{ twice: 42 }])
  for (const [path, text] of [
    ['types.ts', 'export class GatewayError'],
    ['client.php', 'class GatewayError'],
    ['openapi.json', '/call#twice'],
  ]) {
    const response = await fetch(`${url}/${path}?platform=${platform}`)
    expect(await response.text()).toContain(text)
  }
  program.kill('SIGTERM')
  expect(await program.exit).toEqual({ code: 0, signal: null })
  expect(program.output()).not.toMatch(/"level":"error"|ExperimentalWarning/)
})
