import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { createAdminDatabase, dropAdminDatabase, PROJECT } from '../helpers/gateway.ts'
import { gatewayEnvironment, startProgram, temporaryFolder, urlOf } from '../helpers/process.ts'

const run = promisify(execFile)

/** It compiles, asks npm, and starts eight processes. */
const TIMEOUT_MS = 180_000

/** Names of the packages may be asked for again; the packages are those that `npm ci` has kept. */
const NPM = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']

test(
  'npm pack makes a package that installs in an empty folder, starts, deploys and calls',
  async () => {
    const packed = await temporaryFolder()
    // .npmrc has ignore-scripts, with which npm would not build first.
    const pack = ['pack', '--json', '--ignore-scripts=false', '--pack-destination', packed]
    const { stdout } = await run('npm', pack, { cwd: PROJECT })
    const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('[\n')))
    const paths: string[] = files.map(({ path }: { path: string }) => path)
    expect(paths).toEqual(
      expect.arrayContaining(['dist/cli/main.js', 'dist/index.d.ts', 'README.md']),
    )
    expect(paths.filter((path) => /^(test|bench|cli|lib|board)\/|\.env$/.test(path))).toEqual([])

    const folder = await temporaryFolder()
    await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
    const tarball = join(packed, filename)
    // The embedded PostgreSQL is 100 MB, and one is running.
    await run('npm', ['install', ...NPM, '--ignore-scripts', '--omit=optional', tarball], {
      cwd: folder,
    })

    const databaseUrl = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(databaseUrl))
    const bin = join(folder, 'node_modules/.bin/database-gateway')
    const env = gatewayEnvironment({ DATABASE_URL: databaseUrl, TEMPLATES: 'off' })
    const gateway = startProgram(bin, ['start', '--port', '0'], { cwd: folder, env })
    const own = { PATH: env.PATH!, GATEWAY_URL: await urlOf(gateway) }
    const cli = async (...args: string[]) =>
      (await run(bin, args, { cwd: folder, env: own })).stdout

    expect(await cli('init', '--platform', 'packed')).toContain('+ gateway.json')
    expect(await cli('register')).toContain(
      'packed_main is ready: 1 migration, 2 functions changed',
    )
    expect(await cli('call', 'add_note', 'Buy milk')).toContain('add_note\n       1\n1 row')
    expect(await cli('status', '--json')).toContain('"pending":false')
    for (const [path, text] of [
      ['types.ts', 'export class GatewayError'],
      ['client.php', 'class GatewayError'],
      ['openapi.json', '/call#add_note'],
    ]) {
      const response = await fetch(`${own.GATEWAY_URL}/${path}?platform=packed`)
      expect(await response.text()).toContain(text)
    }
    await expect(cli('revert', 'x')).rejects.toMatchObject({ code: 2 })
    const gone = join(packed, 'gone')
    const inGone = `mkdir '${gone}' && cd '${gone}' && rmdir '${gone}' && '${bin}' status`
    await expect(run('sh', ['-c', inGone], { env: own })).rejects.toMatchObject({
      code: 1,
      stderr: 'The working folder is gone: change into one that is there\n',
    })
    gateway.kill('SIGTERM')
    expect(await gateway.exit).toEqual({ code: 0, signal: null })
    // Both threads ran: one splits files, the other judges functions.
    expect(gateway.output()).not.toMatch(/"level":"error"|ExperimentalWarning/)

    // Programs import it, with types.
    const program =
      "import { readConfig } from 'database-gateway'; console.log(readConfig({}).port)"
    expect(
      (await run(process.execPath, ['-e', program, '--input-type=module'], { cwd: folder })).stdout,
    ).toBe('9000\n')
    const types = await readFile(
      join(folder, 'node_modules/database-gateway/dist/index.d.ts'),
      'utf8',
    )
    expect(types).toContain('startGateway')
  },
  TIMEOUT_MS,
)
