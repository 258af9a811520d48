import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { ServerUser } from '../../../lib/postgres/embedded/run-as.ts'

/** Where Debian's PostgreSQL has its programs. */
const DEBIAN = '/usr/lib/postgresql'

/**
 * The folder of a PostgreSQL with all that Patroni runs; the one that comes with the gateway lacks
 * pg_rewind, pg_basebackup and pg_controldata.
 */
export function postgresFolder(): string | undefined {
  if (!existsSync(DEBIAN)) return undefined
  const majors = readdirSync(DEBIAN).map(Number).filter(Number.isInteger)
  return majors
    .sort((a, b) => b - a)
    .map((major) => join(DEBIAN, `${major}`, 'bin'))
    .find((folder) => existsSync(join(folder, 'pg_rewind')))
}

/** What is missing for the tests with Patroni; undefined if nothing is. */
export function missingPrograms(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const missing = ['patroni', 'etcd'].filter(
    (name) => !folders.some((folder) => existsSync(join(folder, name))),
  )
  if (!postgresFolder()) missing.push('postgresql')
  return missing.length > 0 ? `no ${missing.join(', ')} here: run .ci/patroni` : undefined
}

/** Starts a program whose output goes to a file. */
export function startLogged(
  command: string,
  args: string[],
  log: string,
  user: ServerUser | undefined,
): ChildProcess {
  const output = createWriteStream(log, { flags: 'a' })
  const child = spawn(command, args, {
    cwd: '/',
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', TZ: 'UTC', PYTHONUNBUFFERED: '1' },
    uid: user?.uid,
    gid: user?.gid,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout!.pipe(output, { end: false })
  child.stderr!.pipe(output, { end: false })
  return child
}

/** Resolves when a process has ended. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}
