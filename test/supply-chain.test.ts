import { execFile } from 'node:child_process'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { type Lock, packageProblems } from '../.ci/packages.ts'
import { PROJECT } from './helpers/gateway.ts'
import { temporaryFolder } from './helpers/process.ts'

const NPMRC = 'ignore-scripts=true\n'
const HASH = 'sha512-abc'
const lockOf = (name: string, locked: Lock['packages'][string]): Lock => ({
  packages: { '': {}, [`node_modules/other/node_modules/${name}`]: locked },
})

describe('the packages', () => {
  test('of the project are as they should be', async () => {
    const [lock, npmrc] = await Promise.all(
      ['package-lock.json', '.npmrc'].map((name) => readFile(join(PROJECT, name), 'utf8')),
    )
    expect(packageProblems(JSON.parse(lock!), npmrc!)).toEqual([])
  })

  test.each<[string, string, Lock['packages'][string]]>([
    ['a new install script', 'install script', { integrity: HASH, hasInstallScript: true }],
    ['no integrity', 'integrity', {}],
    ['a weak integrity', 'integrity', { integrity: 'sha1-abc' }],
    ['a folder of the machine', 'integrity', { link: true, resolved: '../x' }],
    ['a git repository', 'https', { integrity: HASH, resolved: 'git+ssh://git@example.com/x.git' }],
    ['plain http', 'https', { integrity: HASH, resolved: 'http://example.com/x.tgz' }],
  ])('%s is refused', (_, words, locked) => {
    const problems = packageProblems(lockOf('sneaky', locked), NPMRC)
    expect(problems[0]).toMatch(/^sneaky /)
    expect(problems.join('\n')).toContain(words)
  })

  test.each<[string, Lock['packages'][string]]>([
    ['esbuild', { integrity: HASH, hasInstallScript: true }],
    ['plain', { integrity: HASH, resolved: 'https://example.com/x.tgz' }],
    ['bundled', { inBundle: true }],
  ])('%s is accepted', (name, locked) => {
    expect(packageProblems(lockOf(name, locked), NPMRC)).toEqual([])
  })

  test('more than 60 that are installed without those of development are refused', () => {
    const lockWith = (count: number, more = {}): Lock => ({
      packages: Object.fromEntries(
        Array.from({ length: count }, (_, i) => [
          `node_modules/p${i}`,
          { integrity: HASH, ...more },
        ]),
      ),
    })
    expect(packageProblems(lockWith(60), NPMRC)).toEqual([])
    expect(packageProblems(lockWith(61), NPMRC)).toEqual([expect.stringMatching(/^61 packages/)])
    for (const kind of ['dev', 'optional', 'devOptional']) {
      expect(packageProblems(lockWith(100, { [kind]: true }), NPMRC)).toEqual([])
    }
  })

  test('scripts that npm would run are refused', () => {
    expect(packageProblems({ packages: {} }, '# ignore-scripts=true\n')).toHaveLength(1)
  })
})

const run = promisify(execFile)

const hasSystemd = await run('systemd-analyze', ['security', '--help']).then(
  ({ stdout }) => stdout.includes('--offline'),
  () => false,
)

describe('the check of the service', () => {
  const check = async (edit: (unit: string) => string) => {
    const folder = await temporaryFolder()
    for (const name of ['.ci', 'deploy']) {
      await cp(join(PROJECT, name), join(folder, name), { recursive: true })
    }
    const unit = join(folder, 'deploy/db-gateway.service')
    await writeFile(unit, edit(await readFile(unit, 'utf8')))
    return run(join(folder, '.ci/service')).then(
      ({ stdout }) => stdout,
      () => 'failed',
    )
  }

  test('accepts it as it is', async () => {
    expect(await check((unit) => unit)).toMatch(hasSystemd ? /exposure level/ : /not here/)
  })

  test('refuses it with less around it', async () => {
    const open = (unit: string) => unit.replaceAll(/^(Protect|SystemCall|Restrict)\w+=.*$/gm, '')
    expect(await check(open)).toMatch(hasSystemd ? /^failed$/ : /not here/)
  })
})
