import { execFile, spawn } from 'node:child_process'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Credentials, Server } from './hosts/server.ts'

const run = promisify(execFile)

/** Where packages install the programs of a major version, beside the folders of PATH. */
const FOLDERS = (major: number) => [
  `/usr/lib/postgresql/${major}/bin`,
  `/usr/pgsql-${major}/bin`,
  `/usr/libexec/postgresql${major}`,
  `/opt/homebrew/opt/postgresql@${major}/bin`,
]

const VERSION_LIMIT_MS = 10_000

/** What pg_dump writes to its standard error, of which an error has the end. */
const MAX_ERROR = 2000

/** The path of the pg_dump of a major version; undefined where none is installed. */
export async function findPgDump(major: number): Promise<string | undefined> {
  const folders = [...FOLDERS(major), ...(process.env.PATH ?? '').split(delimiter)]
  for (const folder of new Set(folders.filter((one) => one !== ''))) {
    const path = join(folder, 'pg_dump')
    try {
      const { stdout } = await run(path, ['--version'], { timeout: VERSION_LIMIT_MS })
      if (Number(/\(PostgreSQL\) (\d+)/.exec(stdout)?.[1]) === major) return path
    } catch {
      // It is not there, or does not run.
    }
  }
  return undefined
}

/** A database that is to be dumped. */
export interface DumpSource {
  server: Server
  /** Undefined: as the role of the server. */
  credentials: Credentials | undefined
  database: string
  /** Patterns of pg_dump: schemas that are left out, and tables or sequences whose contents are. */
  withoutSchema: string
  withoutData: string
}

/**
 * Dumps a database in the custom format of pg_dump into a new file, which its owner alone may read.
 * @param path of pg_dump
 * @throws {Error} with what pg_dump says; the file may be there then
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

/** What libpq connects by; certificates go into files of the folder. */
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
  // A certificate is checked by those of the system then, as the gateway does.
  const isChecked = server.sslMode.startsWith('verify')
  if (isChecked && server.ca === undefined) env.PGSSLROOTCERT = 'system'
  for (const [name, text] of files) {
    if (text === undefined) continue
    env[name] = join(folder, name)
    await writeFile(env[name], text, { mode: 0o600 })
  }
  return env
}
