import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import postgres from 'postgres'
import { inject } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import { type RunningGateway, startGateway } from '../../lib/start.ts'

export const PROJECT = join(import.meta.dirname, '../..')

/**
 * Secret of all test gateways: gateways that share a platform share its role, and so its password.
 */
export const TEST_SECRET = 'of the tests, which have nothing to hide'

/** Parsed JSON of a response. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Json = any

export interface Answer {
  status: number
  headers: Headers
  body: Json
}

/** Sends the form of /register or /migrate; `flags` are additional fields. */
export type Deploy = (
  platform: string,
  archive: Uint8Array,
  tenantId?: string,
  flags?: Record<string, string>,
) => Promise<Answer>

/** A gateway in this process, with its own administrative database on the test server. */
export interface TestGateway extends RunningGateway {
  /** The server with the gateway's role, to check what the gateway did. */
  server: Server
  /** Parsed entries of the log. */
  logged: Json[]
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
  call(platform: string, name: string, params?: unknown, tenantId?: string): Promise<Answer>
  register: Deploy
  migrate: Deploy
  /** Runs SQL in a database, bypassing the gateway. */
  query(database: string, text: string): Promise<Json[]>
}

/** Returns a unique name of letters and digits, 20 characters at most. */
export function uniqueName(prefix: string): string {
  return `${prefix}${randomBytes(5).toString('hex')}`
}

/**
 * Opens a connection to a database of the test server, bypassing any gateway.
 * @param url URI of the server with another role
 */
export function connectTo(database: string, max = 1, url = inject('databaseUrl')): postgres.Sql {
  return postgres({ ...parseDatabaseUrl(url), database, max, onnotice: () => {} })
}

/**
 * Runs SQL in a database of the test server, bypassing any gateway. In a platform's database it
 * runs as the platform's role, unless `asGateway` is set.
 * @param url URI of the server with another role
 */
export async function queryDatabase(
  database: string,
  text: string,
  { asGateway = false, url = inject('databaseUrl') } = {},
): Promise<Json[]> {
  const sql = postgres({
    ...parseDatabaseUrl(url),
    database,
    max: 1,
    // The driver's query for types would run objects that a platform has put in its way.
    fetch_types: !asGateway,
    onnotice: () => {},
  })
  try {
    if (!asGateway) await becomePlatform(sql)
    return await sql.unsafe(text)
  } finally {
    await sql.end()
  }
}

/** Switches the connection to the role of the platform that owns the database. */
export async function becomePlatform(sql: postgres.Sql): Promise<void> {
  await sql`
    select set_config('role', pg_get_userbyid(datdba), false)
    from pg_database
    where datname = current_database() and pg_get_userbyid(datdba) like 'gw\\_%'
  `
}

/** Returns the number of other sessions of a database that run a statement like this one. */
export async function sessionsRunning(database: string, text: string): Promise<number> {
  const [row] = await queryDatabase(
    database,
    `select count(*)::int as n from pg_stat_activity
     where datname = '${database}' and state = 'active' and pid <> pg_backend_pid()
       and query like '%${text}%'`,
    // A platform's role cannot see the statements of other roles.
    { asGateway: true },
  )
  return row.n
}

/** Returns the connection URI of a database of the test server, as DATABASE_URL takes it. */
export function databaseUrlOf(database: string, server = inject('databaseUrl')): string {
  return server.replace(/^([^?]*\/)[^/?]*/, `$1${database}`)
}

/** Creates an empty administrative database, owned by the role of `server`, and returns its URI. */
export async function createAdminDatabase(server = inject('databaseUrl')): Promise<string> {
  const name = uniqueName('admin')
  const { database } = parseDatabaseUrl(server)
  await queryDatabase(database, `create database ${name} strategy file_copy`, {
    asGateway: true,
    url: server,
  })
  return databaseUrlOf(name, server)
}

/**
 * Drops a database of the test server and ends its sessions. WITH (FORCE) has to terminate a running
 * autovacuum, which only a superuser may: a plain DROP makes it give way, so both take turns.
 */
export async function dropDatabase(name: string, url = inject('databaseUrl')): Promise<void> {
  const home = parseDatabaseUrl(inject('databaseUrl')).database
  const drop = `drop database if exists "${name}"`
  for (let attempt = 1; ; attempt++) {
    try {
      await queryDatabase(home, `${drop} with (force)`, { asGateway: true, url })
      return
    } catch (error) {
      if (attempt === 5) throw error
      await queryDatabase(home, drop, { asGateway: true, url }).catch(() => {})
    }
  }
}

/** Drops an administrative database, every database of its catalog and the platforms' roles. */
export async function dropAdminDatabase(url: string): Promise<void> {
  const { database } = parseDatabaseUrl(url)
  const query = (where: string, text: string) =>
    queryDatabase(where, text, { asGateway: true, url })
  const rows = await query(
    database,
    'select database, owner_role from _db_gateway_databases',
  ).catch(() => [])
  const templates = await query(database, 'select database from _db_gateway_templates').catch(
    () => [],
  )
  for (const { database: name } of [...templates, ...rows, { database }])
    await dropDatabase(name, url)
  const home = parseDatabaseUrl(inject('databaseUrl')).database
  for (const role of new Set(rows.map((row) => row.owner_role))) {
    if (role !== null) await query(home, `drop role if exists "${role}"`)
  }
}

/** Starts a gateway with these settings, which override the defaults. */
export async function startTestGateway(
  env: Record<string, string> = {},
  handlersFolder = join(PROJECT, 'handlers'),
): Promise<TestGateway> {
  const url = env.DATABASE_URL ?? (await createAdminDatabase())
  const logged: Json[] = []
  const log = createLog('info', {
    write: (text) =>
      logged.push(
        ...text
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      ),
  })
  const config = readConfig({
    GATEWAY_PORT: '0',
    GATEWAY_SECRET: TEST_SECRET,
    // Each new archive builds templates, and most tests do not need them.
    TEMPLATES: process.env.TEST_TEMPLATES || 'off',
    // The test server runs without fsync, so a checkpoint costs less than a WAL-logged copy.
    DATABASE_COPY: 'file_copy',
    // On a busy machine any call may be slow, and its line would be in the log of the test.
    SLOW_CALL_MS: '0',
    ...env,
    DATABASE_URL: url,
  })
  const running = await startGateway(config, log, handlersFolder)

  const request = async (path: string, init: RequestInit): Promise<Answer> => {
    const response = await fetch(running.url + path, init)
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json')
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : text,
    }
  }
  const post = (path: string, body: unknown, headers = {}) =>
    request(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })
  const deploy =
    (path: string): Deploy =>
    (platform, archive, tenantId, flags) =>
      request(path, { method: 'POST', body: schemaForm(platform, archive, tenantId, flags) })

  return {
    ...running,
    server: config.server!,
    logged,
    get: (path, headers = {}) => request(path, { headers }),
    post,
    call: (platform, name, params, tenantId) =>
      post('/call', { platform, function: name, params, tenant_id: tenantId }),
    register: deploy('/register'),
    migrate: deploy('/migrate'),
    query: queryDatabase,
    stop: async () => {
      await running.stop()
      if (!env.DATABASE_URL) await dropAdminDatabase(url)
    },
  }
}

/** Returns the form of /register and /migrate. */
export function schemaForm(
  platform: string,
  archive: Uint8Array,
  tenantId?: string,
  flags: Record<string, string> = {},
): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(flags)) form.set(name, value)
  form.set('platform', platform)
  if (tenantId !== undefined) form.set('tenant_id', tenantId)
  form.set('schema', new Blob([archive as Uint8Array<ArrayBuffer>]), 'postgresql.tar.gz')
  return form
}
