import { execFile } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { query, type Rig } from '../rig.ts'
import { CHANGED_FUNCTION, type Clinic, NEW_MIGRATION, pathsIn, writeFiles } from './clinic.ts'

const run = promisify(execFile)

export interface Psql {
  program: string
  version: string
}

/** What the loop runs in a database: psql's arguments. */
export type Step = 'first' | 'unchanged' | 'oneFunction' | 'release'

/** A script that deploys with one psql a database. */
export interface Loop {
  /** Creates the database with createdb, then deploys everything to it. */
  first(database: string): Promise<void>
  again(step: Exclude<Step, 'first'>, database: string): Promise<void>
  /** Runs a statement in the administrative database. */
  administer(sql: string): Promise<void>
}

/** What each step does, for the reader of the output. */
export const STEPS: Record<Step, string> = {
  first: 'createdb; psql: migrations (noted in schema_migrations), functions, seeders',
  unchanged: 'psql: asks schema_migrations, skips what is applied; all function files again',
  oneFunction: 'psql: that one file (somebody tells the script which)',
  release: 'psql: that migration, noted (somebody tells which); all function files',
}

/**
 * The psql to use: the given one, or PostgreSQL's own one of the newest version, or the PATH's. On
 * Debian the PATH has a Perl script before it, which takes longer to start than psql does.
 */
export async function findPsql(given: string | undefined): Promise<Psql | undefined> {
  const folder = '/usr/lib/postgresql'
  const versions = await readdir(folder).catch(() => [])
  const installed = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => `${folder}/${version}/bin/psql`)
  for (const program of given ? [given] : [...installed, 'psql']) {
    const output = await run(program, ['--version']).catch(() => undefined)
    if (output) return { program, version: output.stdout.trim() }
  }
  if (given) throw new Error(`${given} does not run`)
  return undefined
}

/** Writes the files of all steps into a folder and returns the loop that runs them. */
export async function prepareLoop(rig: Rig, { program }: Psql, clinic: Clinic): Promise<Loop> {
  const folder = join(rig.folder, 'files')
  await mkdir(folder)
  for (const [name, files] of Object.entries(clinic)) await writeFiles(join(folder, name), files)
  const migrations = pathsIn(clinic.base, 'migrations')
  const functions = pathsIn(clinic.base, 'functions')
  await writeFile(join(folder, 'base/pending.sql'), pendingSql(migrations))

  const from = (release: keyof Clinic, paths: string[]) =>
    paths.flatMap((path) => ['-f', join(folder, release, path)])
  const steps: Record<Step, string[]> = {
    first: [
      ...['-c', 'create table schema_migrations (file text primary key, at timestamptz)'],
      ...from('base', migrations),
      ...['-c', recordSql(migrations)],
      ...from('base', functions),
      ...from('base', pathsIn(clinic.base, 'seeders')),
    ],
    unchanged: from('base', ['pending.sql', ...functions]),
    oneFunction: from('oneFunction', [CHANGED_FUNCTION]),
    release: [
      ...from('release', [NEW_MIGRATION]),
      ...['-c', recordSql([NEW_MIGRATION])],
      ...from('release', functions),
    ],
  }

  const server = parseDatabaseUrl(rig.databaseUrl)
  const env = {
    PATH: process.env.PATH,
    PGHOST: server.host,
    PGPORT: `${server.port}`,
    PGUSER: server.user,
    PGPASSWORD: server.password,
    // Functions call such as sort later, so a script cannot run them in order otherwise.
    PGOPTIONS: '-c check_function_bodies=off -c client_min_messages=warning',
  }
  const start = (file: string, args: string[]) => run(file, args, { env, signal: rig.signal })
  const psql = (step: Step, database: string) =>
    start(program, [
      ...['-X', '-q', '-v', 'ON_ERROR_STOP=1', '--single-transaction', '-d', database],
      ...steps[step],
    ])
  const createdb = program === 'psql' ? 'createdb' : join(dirname(program), 'createdb')
  return {
    first: async (database) => {
      await start(createdb, ['--maintenance-db', server.database, database])
      await psql('first', database)
    },
    again: async (step, database) => {
      await psql(step, database)
    },
    administer: async (sql) => {
      await start(program, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', server.database, '-c', sql])
    },
  }
}

function recordSql(migrations: string[]): string {
  const rows = migrations.map((path) => `('${basename(path)}', now())`)
  return `insert into schema_migrations values ${rows.join(', ')}`
}

/** Runs the migrations that are not in the table: one query, then psql decides. */
function pendingSql(migrations: string[]): string {
  const isPending = (path: string, i: number) =>
    `count(*) filter (where file = '${basename(path)}') = 0 as pending_${i}`
  const runIt = (path: string, i: number) =>
    `\\if :pending_${i}\n\\ir ${path}\n${recordSql([path])};\n\\endif\n`
  return `select ${migrations.map(isPending).join(',\n')}
from schema_migrations \\gset
${migrations.map(runIt).join('')}`
}

/** @throws where the databases do not have the same tables, columns, functions and migrations */
export async function assertAlike(rig: Rig, databases: string[]): Promise<void> {
  const texts = await Promise.all(
    databases.map((database) =>
      query(
        rig,
        database,
        `select json_agg(line order by line collate "C")::text as text
        from (
          select format('%s.%s %s', relname, attname, format_type(atttypid, atttypmod)) as line
          from pg_attribute join pg_class c on c.oid = attrelid
          where relnamespace = 'public'::regnamespace and relkind = 'r' and attnum > 0
          union all
          select format('%s %s', oid::regprocedure, prosrc)
          from pg_proc where pronamespace = 'public'::regnamespace
        ) as lines
        where line !~ '^(_db_gateway|schema_migrations)'`,
      ),
    ),
  )
  if (new Set(texts).size > 1) throw new Error(`Not alike: ${databases.join(', ')}`)
}
