import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'

/** The `sslmode` of libpq (PostgreSQL manual, "SSL Support"). */
export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]

/** A PostgreSQL server and the role that the gateway is there. */
export interface Server {
  /** Host name or address; a path that starts with `/` is the folder of a Unix-domain socket. */
  host: string
  port: number
  user: string
  password: string
  /** The administrative database: it holds the catalog. */
  database: string
  applicationName: string
  sslMode: SslMode
  /** PEM texts. */
  ca: string | undefined
  cert: string | undefined
  key: string | undefined
}

/**
 * Reads a connection URI as libpq does (PostgreSQL manual, "Connection Strings"):
 * `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`, a Unix-domain socket as
 * `?host=/folder` or percent-encoded in the place of the host.
 * @throws {Error} saying what does not parse; never with the password
 */
export function parseDatabaseUrl(text: string): Server {
  const match =
    /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<host>\[[^\]]*\]|[^:/?#,]*)(?::(?<port>[^/?#,]*))?(?<more>,[^/?#]*)?(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/.exec(
      text,
    )
  if (!match?.groups) {
    throw new Error('is not a postgres://user:password@host:port/database URI')
  }
  if (match.groups.more) throw new Error('names several hosts; one is supported')

  // What looks like the port is half of a password then, and not to be told.
  if (match.groups.database?.includes('@')) {
    throw new Error('has an "@" behind the host: a "/" or "?" in a password is written %2F or %3F')
  }

  const part = (name: string) => decode(match.groups?.[name] ?? '')
  const query = new URLSearchParams(match.groups.query ?? '')
  for (const name of query.keys()) {
    if (QUERY_PARAMETERS.has(name)) continue
    throw new Error(`has an unknown parameter${/^\w+$/.test(name) ? ` "${name}"` : ''}`)
  }

  const host = query.get('host') || part('host').replace(/^\[|\]$/g, '') || 'localhost'
  const user = query.get('user') || part('user') || userInfo().username
  return {
    host,
    port: portNumber(query.get('port') || part('port') || '5432'),
    user,
    password: query.get('password') || part('password'),
    database: query.get('dbname') || part('database') || user,
    applicationName: query.get('application_name') || 'db-gateway',
    sslMode: sslMode(query.get('sslmode') || 'prefer'),
    ca: pemFile('sslrootcert', query.get('sslrootcert')),
    cert: pemFile('sslcert', query.get('sslcert')),
    key: pemFile('sslkey', query.get('sslkey')),
  }
}

const QUERY_PARAMETERS = new Set(
  'host port user password dbname sslmode sslrootcert sslcert sslkey application_name'.split(' '),
)

/**
 * Reads a list of such URIs, with commas between them. A comma in a password is none.
 * @throws {Error} saying which of them does not parse; never with a password
 */
export function parseDatabaseUrls(text: string): Server[] {
  if (text === '') return []
  return text.split(/\s*,\s*(?=postgres(?:ql)?:\/\/)/).map((url, i) => {
    try {
      const behindPassword = url.slice(url.lastIndexOf('@') + 1)
      if (behindPassword.includes(',')) throw new Error('has a comma behind which no URI follows')
      return parseDatabaseUrl(url)
    } catch (error) {
      throw new Error(`number ${i + 1} ${(error as Error).message}`)
    }
  })
}

/** How logs and errors name the server: without the password. */
export function describeServer(server: Server): string {
  const where = server.host.startsWith('/') ? server.host : `${server.host}:${server.port}`
  return `${server.user}@${where}/${server.database}`
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error('has a percent sign that does not start an escape')
  }
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  throw new Error(`has the port "${text}", which is not a number from 1 to 65535`)
}

function sslMode(text: string): SslMode {
  const mode = SSL_MODES.find((known) => known === text)
  if (mode) return mode
  throw new Error(`has sslmode "${text}", which is not one of ${SSL_MODES.join(', ')}`)
}

function pemFile(name: string, path: string | null): string | undefined {
  if (!path) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`has ${name}=${path}, which cannot be read: ${(error as Error).message}`)
  }
}
