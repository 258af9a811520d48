import { parseDatabaseUrl, type Server } from '../postgres/hosts/server.ts'

/** The settings of the original gateway that say which PostgreSQL is meant, where DATABASE_URL does not. */
export const DATABASE_PARTS = ['DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_PASSWORD'] as const

/** What the original takes where one of the others is given. */
const DEFAULTS = { host: 'localhost', port: 5432, database: 'postgres', user: 'gateway_user' }

/** The PostgreSQL in parts, none of which is encoded; absent ones have the original's default. */
export interface DatabaseParts {
  host: string | undefined
  port: number | undefined
  database: string | undefined
  user: string | undefined
  password: string | undefined
}

/**
 * The server that the parts name.
 * @throws {Error} saying what does not parse
 */
export function serverOfParts(parts: DatabaseParts): Server {
  const encode = encodeURIComponent
  const { host = DEFAULTS.host, port = DEFAULTS.port, password = '' } = parts
  const { database = DEFAULTS.database, user = DEFAULTS.user } = parts
  return parseDatabaseUrl(
    `postgres://${encode(user)}:${encode(password)}@/${encode(database)}?host=${encode(host)}&port=${port}`,
  )
}

/** How the original is called in its folders and in its log. */
const ORIGINAL = /stonescriptdb.gateway/

/**
 * The setting that only the original has, or that is the original's by what it says; undefined where
 * there is none. Where nothing names a PostgreSQL, the original took one that was there.
 */
export function settingOfOriginal(of: (name: string) => string | undefined): string | undefined {
  if (of('ALLOWED_ADMIN_IPS') !== undefined) return 'ALLOWED_ADMIN_IPS'
  return ['DATA_DIR', 'LOG_DIR', 'RUST_LOG'].find((name) => ORIGINAL.test(of(name) ?? ''))
}

/** One line of those that mean nothing here; undefined where there are none. */
export function warnOfOriginal(isSet: (name: string) => boolean): string | undefined {
  const told = []
  const parts = DATABASE_PARTS.filter(isSet)
  if (isSet('DATABASE_URL') && parts.length > 0) {
    told.push(`${parts.join(', ')} (DATABASE_URL is set)`)
  }
  if (isSet('ALLOWED_ADMIN_IPS') && isSet('ADMIN_NETWORKS')) {
    told.push('ALLOWED_ADMIN_IPS (ADMIN_NETWORKS is set)')
  }
  if (isSet('LOG_DIR')) told.push('LOG_DIR (the log goes to standard output)')
  return told.length > 0 ? `Settings without effect: ${told.join(', ')}` : undefined
}

/** What other programs call the host or the URL of a PostgreSQL, in whole names. */
const FOREIGN_SERVER =
  /^(DB|DATABASE|PG|POSTGRES|POSTGRESQL)_?(HOST|HOSTNAME|HOSTADDR|SERVER|ADDR|ADDRESS|URL|URI|DSN|CONNECTION_STRING)$/

/** The first of the names that names a PostgreSQL in other words than the gateway's. */
export function foreignServer(names: string[], known: ReadonlySet<string>): string | undefined {
  return names.find((name) => FOREIGN_SERVER.test(name) && !known.has(name))
}
