import { execFile, spawn } from 'node:child_process'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Credentials, Server } from './hosts/server.ts'

const run = promisify(execFile)

/** Folders in which packages install the programs of a major version; searched before PATH. */
const FOLDERS = (major: number) => [
  `/usr/lib/postgresql/${major}/bin`,
  `/usr/pgsql-${major}/bin`,
  `/usr/libexec/postgresql${major}`,
  `/opt/homebrew/opt/postgresql@${major}/bin`,
]

/** Time limit of `pg_dump --version`. */
const VERSION_LIMIT_MS = 10_000

/** Maximum length of pg_dump's standard error in an error message; its end is kept. */
const MAX_ERROR = 2000

/** Returns the path of a pg_dump of the major version; undefined if none is installed. */
export async function findPgDump(major: number): Promise<string | undefined> {
  const folders = [...FOLDERS(major), ...(process.env.PATH ?? '').split(delimiter)]
  for (const folder of new Set(folders.filter((one) => one !== ''))) {
    const path = join(folder, 'pg_dump')
    try {
      const { stdout } = await run(path, ['--version'], { timeout: VERSION_LIMIT_MS })
      if (Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]) === major) return path
    } catch {
      // The file does not exist or does not run.
    }
  }
  return undefined
}

/** Source of a dump. */
export interface DumpSource {
  server: Server
  /** Role to connect as; undefined for the server's own role. */
  credentials: Credentials | undefined
  database: string
  /** Pattern of `--exclude-schema`. */
  withoutSchema: string
  /** Pattern of `--exclude-table-data`: tables and sequences that are dumped without contents. */
  withoutData: string
}

/**
 * Dumps a database in pg_dump's custom format into a new file with mode 0600.
 * @param path path of pg_dump
 * @throws {Error} with the standard error of pg_dump; the incomplete file is not removed
 */
export async function dumpTo(path: string, source: DumpSource, file: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'db-gateway-dump-'))
  const out = await open(file, 'wx', 0o600)
  try {
    const env = await environment(source, folder)
    await new Promise<void>((resolve, reject) => {
      const options = [
        '--format=custom',
        '--no-password',
        `--exclude-schema=${source.withoutSchema}`,
        `--exclude-table-data=${source.withoutData}`,
      ]
      const child = spawn(path, options, { env, stdio: ['ignore', out.fd, 'pipe'] })
      let said = ''
      child.stderr!.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-MAX_ERROR)
      })
      child.on('error', reject)
      child.on('close', (code, signal) => {
        if (code === 0) resolve()
        else reject(new Error(said.trim() || `pg_dump ended with ${signal ?? `status ${code}`}`))
      })
    })
    await out.sync()
  } finally {
    await out.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Returns the environment variables for libpq's connection (PostgreSQL manual, "Environment
 * Variables"). Writes the certificates and the key into files in `folder`.
 */
async function environment(
  { server, credentials, database }: DumpSource,
  folder: string,
): Promise<Record<string, string>> {
  const { user, password } = credentials ?? server
  const hosts = [server, ...server.others]
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    LC_ALL: 'C',
    PGHOST: hosts.map(({ host }) => host).join(','),
    PGPORT: hosts.map(({ port }) => port).join(','),
    PGTARGETSESSIONATTRS: server.sessionAttrs,
    PGUSER: user,
    PGPASSWORD: password,
    PGDATABASE: database,
    PGAPPNAME: server.applicationName,
    PGSSLMODE: server.sslMode,
  }
  const files = [
    ['PGSSLROOTCERT', server.ca],
    ['PGSSLCERT', server.cert],
    ['PGSSLKEY', server.key],
  ] as const
  // Without a CA file, libpq has to use the system's certificates, as the gateway does.
  const isChecked = server.sslMode.startsWith('verify')
  if (isChecked && server.ca === undefined) env.PGSSLROOTCERT = 'system'
  for (const [name, text] of files) {
    if (text === undefined) continue
    env[name] = join(folder, name)
    await writeFile(env[name], text, { mode: 0o600 })
  }
  return env
}
