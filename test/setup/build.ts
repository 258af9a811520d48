import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const PROJECT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/**
 * Compiles the gateway once for a run of the tests, into a folder that TEST_BUILD names: processes and
 * threads that the tests start by the hundred load JavaScript, which takes a third of the time. How
 * TypeScript starts is tested by the pages of docs/.
 */
export default async function setup(): Promise<() => void> {
  // In the project, since Node.js finds packages from there.
  const folder = await mkdtemp(join(PROJECT, 'test-build-'))
  process.env.TEST_BUILD = folder
  const remove = () => rmSync(folder, { recursive: true, force: true })
  // Vitest exits at once when it is interrupted, or when a set-up fails, without the teardown.
  process.once('exit', remove)
  const tsc = join(PROJECT, 'node_modules/typescript/bin/tsc')
  const project = join(PROJECT, 'tsconfig.build.json')
  const options = ['--project', project, '--outDir', folder, '--declaration', 'false']
  await run(process.execPath, [tsc, ...options])
  await run(process.execPath, [join(PROJECT, 'scripts/copy-sources.mjs'), folder])
  return remove
}
