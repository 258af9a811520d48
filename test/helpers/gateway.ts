import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import postgres from 'postgres'
import { inject } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import { type RunningGateway, startGateway } from '../../lib/start.ts'
import { closeIdleConnections } from './idle-connections.ts'

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

/** Drops a database of the test server and ends its sessions. */
export async function dropDatabase(name: string, url = inject('databaseUrl')): Promise<void> {
  await withSession(homeOf(url), (sql) => dropFrom(sql, name))
}

/**
 * Drops a database and ends its sessions. WITH (FORCE) has to terminate a running autovacuum, which
 * only a superuser may: a plain DROP makes it give way, so both take turns.
 */
async function dropFrom(sql: postgres.Sql, name: string): Promise<void> {
  const drop = `drop database if exists "${name}"`
  for (let attempt = 1; ; attempt++) {
    try {
      await sql.unsafe(`${drop} with (force)`)
      return
    } catch (error) {
      if (attempt === 5) throw error
      await sql.unsafe(drop).catch(() => {})
    }
  }
}

/** Drops an administrative database, every database of its catalog and the platforms' roles. */
export async function dropAdminDatabase(url: string): Promise<void> {
  const { database } = parseDatabaseUrl(url)
  const { databases, roles } = await withSession(url, inCatalog)
  await withSession(homeOf(url), async (sql) => {
    for (const name of [...databases, database]) await dropFrom(sql, name)
    for (const role of roles) await sql.unsafe(`drop role if exists "${role}"`)
  })
}

/** The databases of a catalog and their roles; none where there is no catalog yet. */
async function inCatalog(sql: postgres.Sql): Promise<{ databases: string[]; roles: Set<string> }> {
  const read = (text: string): Promise<Json[]> => sql.unsafe(text).catch(() => [])
  const rows = await read('select database, owner_role from _db_gateway_databases')
  const templates = await read('select database from _db_gateway_templates')
  const roles = rows.map(({ owner_role }) => owner_role).filter((role) => role !== null)
  return { databases: [...templates, ...rows].map((row) => row.database), roles: new Set(roles) }
}

/** The database of the test server that all tests share, as the role of `url`. */
function homeOf(url: string): string {
  return databaseUrlOf(parseDatabaseUrl(inject('databaseUrl')).database, url)
}

/** Works on a session of its own. */
async function withSession<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres({
    ...parseDatabaseUrl(url),
    max: 1,
    fetch_types: false,
    onnotice: () => {},
  })
  try {
    return await work(sql)
  } finally {
    await sql.end()
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
      closeIdleConnections(running.url)
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
