import { readFileSync } from 'node:fs'
import { userInfo } from 'node:os'

/** The `sslmode` of libpq (PostgreSQL manual, "SSL Support"). */
export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const
export type SslMode = (typeof SSL_MODES)[number]

/** The values of libpq's `target_session_attrs` that allow writes. */
export const SESSION_ATTRS = ['any', 'primary', 'read-write'] as const
export type SessionAttrs = (typeof SESSION_ATTRS)[number]

/** What pg_dump and pg_restore of a gateway have after its application_name. */
export const TOOL = ' tool'

/** Address of a server. */
export interface Host {
  /** Host name or address; a path that starts with `/` is the folder of a Unix-domain socket. */
  host: string
  port: number
}

/** A role that can log in. */
export interface Credentials {
  user: string
  password: string
  /** Alternative password of the same role, tried where this one is refused. */
  other?: Credentials
  /** Called when the alternative password was accepted. */
  onOther?: () => void
}

/** A PostgreSQL server and the gateway's role there. */
export interface Server extends Host, Credentials {
  /** Further hosts; the primary may be any of the hosts. */
  others: Host[]
  /** Requirement for a session; with several hosts never `any`. */
  sessionAttrs: SessionAttrs
  /** A pooler such as PgBouncer is between, in session mode. */
  pooler?: 'session' | undefined
  /** It can look whether a client is still there (client_connection_check_interval); not on Windows. */
  checksClient?: boolean
  /** Administrative database, which holds the gateway's catalog. */
  database: string
  applicationName: string
  sslMode: SslMode
  /** Certificates and key as PEM texts. */
  ca: string | undefined
  cert: string | undefined
  key: string | undefined
}

/**
 * Parses a connection URI as libpq does (PostgreSQL manual, "Connection Strings"):
 * `postgres://user:password@host:port/database?sslmode=…&sslrootcert=…`. A Unix-domain socket is
 * given as `?host=/folder` or percent-encoded as the host. Several hosts are separated by commas:
 * a primary and its standbys.
 * @throws {Error} with a predicate, such as `has two "@"`; the message never contains the password
 */
export function parseDatabaseUrl(text: string): Server {
  const match =
    /^postgres(?:ql)?:\/\/(?:(?<user>[^:@/?#]*)(?::(?<password>[^@/?#]*))?@)?(?<host>\[[^\]]*\]|[^:/?#,]*)(?::(?<port>[^/?#,]*))?(?<more>,[^/?#]*)?(?:\/(?<database>[^?#]*))?(?:\?(?<query>[^#]*))?$/.exec(
      text,
    )
  if (!match?.groups) {
    const hint = /^postgres(ql)?:.*[#@]/s.test(text) ? `; ${ENCODED}` : ''
    throw new Error(`is not a postgres://user:password@host:port/database URI${hint}`)
  }

  // Part of a password with an unescaped "/" may stand where the port is: never repeat it.
  if (match.groups.database?.includes('@')) {
    throw new Error(`has an "@" behind the host: ${ENCODED}`)
  }
  if (match.groups.host?.includes('@') || match.groups.more?.includes('@')) {
    throw new Error(`has two "@": ${ENCODED}`)
  }

  const part = (name: string) => decode(match.groups?.[name] ?? '')
  const query = new URLSearchParams(match.groups.query ?? '')
  for (const name of query.keys()) {
    if (QUERY_PARAMETERS.has(name)) continue
    const hint = match.groups.query?.includes('@') ? `; ${ENCODED}` : ''
    throw new Error(`has an unknown parameter${told(name)}${hint}`)
  }

  const named = `${match.groups.host}:${match.groups.port ?? ''}${match.groups.more ?? ''}`
  const [first, ...others] = hosts(named, query.get('host'), query.get('port'))
  const pooler = poolerOf(query, others.length > 0)
  const user = query.get('user') || part('user') || userInfo().username
  return {
    ...first!,
    others,
    sessionAttrs: sessionAttrs(query.get('target_session_attrs'), others.length > 0),
    pooler,
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

const ENCODED =
  'in a password, "@" is written %40, "/" %2F, "?" %3F, "#" %23, "%" %25 (DB_PASSWORD takes it as it is)'

const QUERY_PARAMETERS = new Set(
  'host port user password dbname sslmode sslrootcert sslcert sslkey application_name target_session_attrs pooler'.split(
    ' ',
  ),
)

/**
 * Returns the hosts of the URI; the parameters `host` and `port` override them. A single port is
 * that of all hosts (libpq, "Specifying Multiple Hosts").
 */
function hosts(named: string, hostList: string | null, portList: string | null): Host[] {
  const parts = named.split(',').map((text) => /^(\[[^\]]*\]|[^:]*):?(.*)$/s.exec(text)!)
  const names = hostList
    ? hostList.split(',')
    : parts.map(([, host]) => decode(host!).replace(/^\[|\]$/g, ''))
  const given = portList ? portList.split(',') : parts.map(([, , port]) => decode(port!))
  const ports = given.length === 1 ? names.map(() => given[0]!) : given
  if (ports.length !== names.length) {
    throw new Error(`has ${names.length} hosts and ${ports.length} ports`)
  }
  return names.map((host, i) => ({
    host: host || 'localhost',
    port: portNumber(ports[i] || '5432'),
  }))
}

/** `any` is refused with several hosts: a session could end up on a standby. */
function sessionAttrs(text: string | null, areSeveral: boolean): SessionAttrs {
  if (!text) return areSeveral ? 'primary' : 'any'
  const attrs = SESSION_ATTRS.find((known) => known === text)
  if (attrs && !(areSeveral && attrs === 'any')) return attrs
  const fitting = areSeveral ? SESSION_ATTRS.slice(1) : SESSION_ATTRS
  throw new Error(
    `has target_session_attrs${told(text)}, but the gateway writes: it takes ${fitting.join(', ')}`,
  )
}

/** A pooler tells what it knew of its server when it connected: it cannot tell who is the primary. */
function poolerOf(query: URLSearchParams, areSeveral: boolean): 'session' | undefined {
  const text = query.get('pooler')
  if (!text) return undefined
  if (text !== 'session')
    throw new Error(`has pooler${told(text)}: the gateway takes session alone`)
  if (areSeveral || query.get('target_session_attrs')) {
    throw new Error(
      'has pooler=session with several hosts or target_session_attrs: name the pooler alone, and let it find the primary',
    )
  }
  return 'session'
}

/**
 * Parses a list of connection URIs, separated by commas. A password may contain commas.
 * @throws {Error} naming the URI by its number; the message never contains a password
 */
export function parseDatabaseUrls(text: string): Server[] {
  if (text === '') return []
  return text.split(/\s*,\s*(?=postgres(?:ql)?:\/\/)/).map((url, i) => {
    try {
      const behindPassword = url.slice(url.lastIndexOf('@') + 1)
      if (behindPassword.includes(',')) throw new Error('has a comma behind which no URI follows')
      if (/[?&]target_session_attrs=/.test(url)) {
        throw new Error('has target_session_attrs, which is for DATABASE_URL')
      }
      if (/[?&]pooler=/.test(url)) {
        throw new Error('has pooler, but the state of a replica is read from the replica itself')
      }
      return parseDatabaseUrl(url)
    } catch (error) {
      throw new Error(`number ${i + 1} ${(error as Error).message}`)
    }
  })
}

/** Returns the server's name for logs and errors: without the password. */
export function describeServer(server: Server): string {
  const where = [server, ...server.others].map(describeHost).join(',')
  return `${server.user}@${where}/${server.database}`
}

/** Returns what tells a server from others on its machine, also where its host is a folder. */
export function hostAndPort({ host, port }: Host): string {
  return `${host}:${port}`
}

/** Returns host and port of a server, and of all that may take its place, with commas between. */
export function hostsAndPorts(server: Server): string {
  return [server, ...server.others].map(hostAndPort).join(',')
}

export function describeHost({ host, port }: Host): string {
  return host.startsWith('/') ? host : `${host}:${port}`
}

/** Returns the server's hosts, each as a server with a single host. */
export function hostsOf(server: Server): Server[] {
  return [server, ...server.others].map(({ host, port }) => ({ ...server, host, port, others: [] }))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new Error(`has a percent sign that does not start an escape; ${ENCODED}`)
  }
}

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port >= 1 && port <= 65_535) return port
  // The text is left out: where an "@" is missing, it is the password.
  throw new Error(`has a port that is not a number from 1 to 65535; ${ENCODED}`)
}

function sslMode(text: string): SslMode {
  const mode = SSL_MODES.find((known) => known === text)
  if (mode) return mode
  throw new Error(`has sslmode${told(text)}, which is not one of ${SSL_MODES.join(', ')}`)
}

function pemFile(name: string, path: string | null): string | undefined {
  if (!path) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const shown = /^[\w./-]+$/.test(path) ? `=${path}` : ''
    const { code } = error as NodeJS.ErrnoException
    throw new Error(`has ${name}${shown}, which cannot be read: ${code}`)
  }
}

/** Quotes a value only if it looks like a plain word; other text may be part of a password. */
function told(text: string): string {
  return /^[a-z_-]{1,30}$/.test(text) ? ` "${text}"` : ''
}
