import { stat } from 'node:fs/promises'
import type { Config } from '../config.ts'
import { Hosts } from '../postgres/hosts/hosts.ts'
import { describeServer, type Server } from '../postgres/hosts/server.ts'
import { findPgTool } from '../postgres/pg-tools.ts'
import { readServerCapacity, usableConnections } from '../postgres/pools/capacity.ts'
import { Connection, type Sql } from '../postgres/pools/connection.ts'
import { quoteIdentifier } from '../postgres/quote.ts'
import { type Check, failed, ok, warning } from './check.ts'
import { checkLogIns } from './log-ins.ts'
import { checkRoom } from './machine.ts'

const OLDEST = 15

/** Difference of two clocks from which logs and due times are misleading, in milliseconds. */
export const CLOCK_MS = 2000

/** Returns the function that opens connections to a server. */
function opener(server: Server, { connectTimeoutMs }: Config) {
  return (options: Pick<Server, 'database'> & Partial<Pick<Server, 'user' | 'password'>>) =>
    new Connection(
      server,
      {
        database: options.database,
        credentials:
          options.user === undefined
            ? undefined
            : { user: options.user, password: options.password ?? '' },
        route: new Hosts(server),
        connectTimeoutMs,
        statementTimeoutMs: 30_000,
      },
      () => {},
    )
}

/** Runs work on a connection to a server as the gateway's role. @throws {Error} of PostgreSQL or the socket */
export async function lookInto<T>(
  config: Config,
  server: Server,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const connection = opener(server, config)(server)
  try {
    return await work(connection.sql)
  } finally {
    await connection.close().catch(() => {})
  }
}

/** Looks at the PostgreSQL of the settings, as the gateway's role sees it. */
export async function checkServer(config: Config, server: Server): Promise<Check[]> {
  const open = opener(server, config)
  const started = performance.now()
  const connection = open(server)
  try {
    await connection.sql.unsafe('')
    const ms = Math.round(performance.now() - started)
    const { sql } = connection
    const looks = [
      [ok('reach', `PostgreSQL at ${describeServer(server)} answers (${ms} ms to connect)`)],
      await checkVersion(sql),
      await checkRights(sql, config),
      [await checkCapacity(sql, config)],
      [await checkClock(sql)],
      await checkDurability(sql),
      await checkDisk(sql),
      config.isolation === 'shared-role' ? [] : await checkLogIns(sql, open),
    ]
    return looks.flat()
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    return [
      failed(
        'reach',
        `PostgreSQL at ${describeServer(server)}: ${message || code}`,
        code?.startsWith('28')
          ? 'Correct the role and password of DATABASE_URL, or let pg_hba.conf admit the role from this address'
          : 'Start PostgreSQL, or correct DATABASE_URL; see that listen_addresses and the firewall admit this machine',
      ),
    ]
  } finally {
    await connection.close().catch(() => {})
  }
}

async function checkVersion(sql: Sql): Promise<Check[]> {
  const [row] = await sql<{ server_version: string }[]>`show server_version`
  const version = row!.server_version
  const major = Number.parseInt(version, 10)
  if (major < OLDEST) {
    const advice = `Upgrade to ${OLDEST} or newer`
    return [failed('version', `PostgreSQL ${version} is too old`, advice)]
  }
  const path = await findPgTool('pg_dump', major)
  const tool =
    path === undefined
      ? warning(
          'pg_dump',
          `There is no pg_dump of version ${major} or newer on this machine, so tenants are not dropped with a dump`,
          `Install the client programs of PostgreSQL ${major} (postgresql-client-${major})`,
        )
      : ok('pg_dump', path)
  return [ok('version', `PostgreSQL ${version}`), tool]
}

async function checkRights(sql: Sql, { isolation, baseTemplate }: Config): Promise<Check[]> {
  const [row] = await sql<
    { role: string; is_super: boolean; databases: boolean; roles: boolean; has_template: boolean }[]
  >`
    select rolname as role, rolsuper as is_super,
      rolsuper or rolcreatedb as databases, rolsuper or rolcreaterole as roles,
      exists (select from pg_database where datname = ${baseTemplate}) as has_template
    from pg_roles where rolname = current_user
  `
  const { role, is_super, databases, roles, has_template } = row!
  const name = quoteIdentifier(role)
  const found: Check[] = []
  if (!databases) {
    found.push(
      failed(
        'rights',
        `The role ${role} may not create databases`,
        `Run "alter role ${name} createdb"`,
      ),
    )
  }
  if (!roles && isolation !== 'shared-role') {
    found.push(
      failed(
        'rights',
        `The role ${role} may not create the roles of the platforms`,
        `Run "alter role ${name} createrole"`,
      ),
    )
  }
  if (!has_template) {
    found.push(
      failed(
        'rights',
        `BASE_TEMPLATE: there is no database ${baseTemplate}`,
        'Create it, or unset BASE_TEMPLATE',
      ),
    )
  }
  if (found.length === 0)
    found.push(ok('rights', `The role ${role} may create databases and roles`))
  if (is_super) {
    found.push(
      warning(
        'rights',
        `The role ${role} is a superuser, which the gateway does not need`,
        'Give it a role of its own with CREATEDB and CREATEROLE',
      ),
    )
  }
  return found
}

async function checkCapacity(sql: Sql, { maxTotalConnections }: Config): Promise<Check> {
  const usable = usableConnections(await readServerCapacity(sql))
  if (usable >= maxTotalConnections) {
    return ok(
      'connections',
      `PostgreSQL has ${usable} connections, MAX_TOTAL_CONNECTIONS is ${maxTotalConnections}`,
    )
  }
  return warning(
    'connections',
    `MAX_TOTAL_CONNECTIONS is ${maxTotalConnections}, but PostgreSQL has only ${usable} for the role`,
    `Set MAX_TOTAL_CONNECTIONS to ${usable} at most, or raise max_connections (and the role's CONNECTION LIMIT)`,
  )
}

async function checkClock(sql: Sql): Promise<Check> {
  const before = Date.now()
  const [row] = await sql<{ ms: string }[]>`
    select (extract(epoch from clock_timestamp()) * 1000)::bigint::text as ms
  `
  const difference = Math.round(Number(row!.ms) - (before + Date.now()) / 2)
  return clockCheck("PostgreSQL's", difference)
}

/** Judges a clock that differs from this machine's. */
export function clockCheck(whose: string, ms: number): Check {
  if (Math.abs(ms) < CLOCK_MS) return ok('clock', `${whose} clock is this machine's`)
  const says = `${whose} clock is ${Math.abs(ms / 1000).toFixed(1)} s ${ms > 0 ? 'ahead of' : 'behind'} this machine's`
  return warning('clock', says, 'Run a time service (chrony, systemd-timesyncd) on both machines')
}

async function checkDurability(sql: Sql): Promise<Check[]> {
  const [row] = await sql<{ fsync: string; pages: string }[]>`
    select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages
  `
  const off = [row!.fsync === 'off' && 'fsync', row!.pages === 'off' && 'full_page_writes'].filter(
    Boolean,
  )
  if (off.length === 0) return []
  const says = `PostgreSQL runs without ${off.join(' and ')}: a crash of the machine may damage all databases`
  return [warning('durability', says, 'Switch it on, unless the data can be lost')]
}

/** Only a server on this machine, whose folder the role may know, tells how full its disk is. */
async function checkDisk(sql: Sql): Promise<Check[]> {
  const [size] = await sql<{ gib: string }[]>`
    select round(sum(pg_database_size(oid)) / 1024.0 ^ 3, 1)::text as gib
    from pg_database where has_database_privilege(oid, 'connect')
  `
  const folder = await sql<{ data_directory: string }[]>`show data_directory`.catch(() => [])
  const path = folder[0]?.data_directory
  const isHere = path !== undefined && (await stat(path).catch(() => undefined)) !== undefined
  if (isHere) return [await checkRoom('disk', path)]
  return [
    ok(
      'disk',
      `${size?.gib ?? 0} GiB of databases; how much room the server has left cannot be seen from here`,
    ),
  ]
}
