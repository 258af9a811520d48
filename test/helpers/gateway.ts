import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import postgres from 'postgres'
import { inject } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import { type RunningGateway, startGateway } from '../../lib/start.ts'

export const PROJECT = join(import.meta.dirname, '../..')

/** Of all gateways of the tests: they share roles where they share a platform. */
export const TEST_SECRET = 'of the tests, which have nothing to hide'

/** The JSON of an answer. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
export type Json = any

export interface Answer {
  status: number
  headers: Headers
  body: Json
}

/** Sends the form of /register or /migrate; `flags` are further fields of it. */
export type Deploy = (
  platform: string,
  archive: Uint8Array,
  tenantId?: string,
  flags?: Record<string, string>,
) => Promise<Answer>

/** A gateway in this process, with an administrative database of its own on the test server. */
export interface TestGateway extends RunningGateway {
  /** The server, seen as the gateway's role, for looking at what it did. */
  server: Server
  /** Log entries, as JSON. */
  logged: Json[]
  get(path: string, headers?: Record<string, string>): Promise<Answer>
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>
  call(platform: string, name: string, params?: unknown, tenantId?: string): Promise<Answer>
  register: Deploy
  migrate: Deploy
  /** Runs SQL in a database, past the gateway. */
  query(database: string, text: string): Promise<Json[]>
}

/** A name that no other test has: letters and digits, at most 20. */
export function uniqueName(prefix: string): string {
  return `${prefix}${randomBytes(5).toString('hex')}`
}

/** A connection to a database of the test server, past any gateway. */
export function connectTo(database: string, max = 1): postgres.Sql {
  const server = parseDatabaseUrl(inject('databaseUrl'))
  return postgres({ ...server, database, max, onnotice: () => {} })
}

/**
 * Runs SQL in a database of the test server, past any gateway: as the platform's role where it is
 * one's database, unless `asGateway`. `url` is the server's as another role.
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
    // That query would meet what a platform has put in the way of it.
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

/** From now on the connection works as the role of the platform whose database it is. */
export async function becomePlatform(sql: postgres.Sql): Promise<void> {
  await sql`
    select set_config('role', pg_get_userbyid(datdba), false)
    from pg_database
    where datname = current_database() and pg_get_userbyid(datdba) like 'gw\\_%'
  `
}

/** How many other sessions of a database run a statement like this one. */
export async function sessionsRunning(database: string, text: string): Promise<number> {
  const [row] = await queryDatabase(
    database,
    `select count(*)::int as n from pg_stat_activity
     where datname = '${database}' and state = 'active' and pid <> pg_backend_pid()
       and query like '%${text}%'`,
    // A platform's role would not see what others run.
    { asGateway: true },
  )
  return row.n
}

/** The connection URI of a database of the test server: what DATABASE_URL takes. */
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
  const home = parseDatabaseUrl(inject('databaseUrl')).database
  const names = [...templates, ...rows].map((row) => row.database)
  for (const name of [...names, database]) {
    // A role that is no superuser may not end autovacuum, as "force" would have to.
    await query(home, `drop database if exists "${name}" with (force)`).catch(() =>
      query(home, `drop database if exists "${name}"`),
    )
  }
  for (const role of new Set(rows.map((row) => row.owner_role))) {
    if (role !== null) await query(home, `drop role if exists "${role}"`)
  }
}

/** Starts a gateway with these settings over the defaults. */
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
    // They are built with every archive, and most tests are about something else.
    TEMPLATES: process.env.TEST_TEMPLATES || 'off',
    // The test server syncs nothing, so that a checkpoint costs less than a log of the copy.
    DATABASE_COPY: 'file_copy',
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

/** The form of /register and /migrate. */
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
