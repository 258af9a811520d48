import { execFile } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import type { Rig } from '../rig.ts'

const run = promisify(execFile)

const CLIENTS = 10
const THREADS = 2

/** Transactions a second of one script, with prepared statements. */
export type Pgbench = (script: string, seconds: number) => Promise<number>

/** The given pgbench, or the newest of PostgreSQL's own that is installed, or the PATH's. */
export async function findPgbench(given: string | undefined): Promise<string | undefined> {
  const folder = '/usr/lib/postgresql'
  const versions = await readdir(folder).catch(() => [])
  const installed = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => `${folder}/${version}/bin/pgbench`)
  for (const program of given ? [given] : [...installed, 'pgbench']) {
    if (await run(program, ['--version']).catch(() => undefined)) return program
  }
  if (given) throw new Error(`${given} does not run`)
  return undefined
}

/** pgbench on a database of the rig, as the gateway's role. */
export function pgbenchOn(rig: Rig, program: string, database: string): Pgbench {
  const { host, port, user, password } = parseDatabaseUrl(rig.databaseUrl)
  const env = { PATH: process.env.PATH, PGPASSWORD: password }
  const connection = ['-h', host, '-p', `${port}`, '-U', user]
  return async (script, seconds) => {
    const file = join(rig.folder, 'pgbench.sql')
    await writeFile(file, script)
    const options = ['-n', '-M', 'prepared', '-c', `${CLIENTS}`, '-j', `${THREADS}`]
    const args = [...options, '-T', `${seconds}`, '-f', file, ...connection, database]
    const { stdout } = await run(program, args, { env, signal: rig.signal })
    const tps = /tps = ([\d.]+)/.exec(stdout)?.[1]
    if (!tps) throw new Error(`pgbench said: ${stdout}`)
    return Number(tps)
  }
}
