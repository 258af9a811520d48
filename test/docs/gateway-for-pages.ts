import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import postgres from 'postgres'
import { readConfig } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { startEmbedded } from '../../lib/postgres/embedded.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { startGateway } from '../../lib/start.ts'
import { CLI_PROGRAM } from '../helpers/cli.ts'
import { databaseUrlOf, PROJECT, TEST_SECRET } from '../helpers/gateway.ts'

/** A PostgreSQL on which the names that pages use belong to nobody else. */
export interface PagesServer {
  /**
   * Runs a page's work with a new gateway and in a new folder, and removes what it left. The
   * environment has the program database-gateway, which speaks to this gateway.
   */
  withGateway<T>(
    work: (url: string, folder: string, env: NodeJS.ProcessEnv) => Promise<T>,
  ): Promise<T>
  stop(): Promise<void>
}

const CATALOG = 'db_gateway'

/** Starts the PostgreSQL that comes with the gateway in a temporary folder. */
export async function startPagesServer(): Promise<PagesServer> {
  const home = await mkdtemp(join(tmpdir(), 'db-gateway-docs-'))
  const dataDir = join(home, 'data')
  const programs = await makeProgram(join(home, 'bin'))
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
  const server = await startEmbedded({ dataDir, settings })
  const sql = postgres({ ...parseDatabaseUrl(server.superuserUrl), max: 1, onnotice: () => {} })

  return {
    async withGateway(work) {
      await sql.unsafe(`create database ${CATALOG} owner gateway strategy file_copy`)
      const folder = await mkdtemp(join(home, 'page-'))
      await symlink(join(PROJECT, 'test'), join(folder, 'test'))
      await symlink(dataDir, join(folder, 'data'))
      const config = readConfig({
        DATABASE_URL: databaseUrlOf(CATALOG, server.url),
        GATEWAY_SECRET: TEST_SECRET,
        GATEWAY_PORT: '0',
        DATABASE_COPY: 'file_copy',
        // They take most of the time, and no answer on the pages is about them.
        TEMPLATES: 'off',
      })
      const log = createLog('error', { write: () => {} })
      const gateway = await startGateway(config, log, join(PROJECT, 'handlers'))
      try {
        const path = `${programs}${delimiter}${process.env.PATH}`
        const env = { ...process.env, PATH: path, GATEWAY_URL: gateway.url, NO_COLOR: '1' }
        return await work(gateway.url, folder, env)
      } finally {
        await gateway.stop()
        await dropEverything(sql)
      }
    },
    async stop() {
      await sql.end()
      await server.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Makes a folder with the program database-gateway, which runs the code of the project. */
async function makeProgram(folder: string): Promise<string> {
  await mkdir(folder)
  const script = `#!/bin/sh\nexec ${CLI_PROGRAM} "$@"\n`
  await writeFile(join(folder, 'database-gateway'), script, { mode: 0o755 })
  return folder
}

/** Drops what gateways have made on the server: databases, then the platforms' roles. */
async function dropEverything(sql: postgres.Sql): Promise<void> {
  const databases = await sql`
    select datname as name from pg_database
    where not datistemplate and datname not in ('postgres', 'gateway')
  `
  for (const { name } of databases) await sql.unsafe(`drop database "${name}" with (force)`)
  const roles = await sql`select rolname as name from pg_roles where rolname like 'gw\\_%'`
  for (const { name } of roles) await sql.unsafe(`drop role "${name}"`)
}
