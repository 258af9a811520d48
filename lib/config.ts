import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import type { ArchiveLimits } from './archive/archive.ts'
import { nearMisses } from './config/near-misses.ts'
import {
  DATABASE_PARTS,
  foreignServer,
  serverOfParts,
  settingOfOriginal,
  warnOfOriginal,
} from './config/original.ts'
import type { Environment } from './config/secrets.ts'
import {
  bearerToken,
  type DatabaseCopy,
  databaseCopy,
  databaseText,
  hostName,
  isolation,
  logLevel,
  numericFormat,
  olderArchives,
  onOrOff,
  optionalOrRequired,
  rustLogLevel,
  schemaNames,
  secretText,
} from './config/values.ts'
import { parseHosts, parseOrigins, type SiteRules } from './http/access/cross-site.ts'
import { type Network, parseNetworks } from './http/access/networks.ts'
import { type PlatformNetworks, parsePlatformNetworks } from './http/access/platform-networks.ts'
import type { TlsFiles } from './http/listener/tls.ts'
import type { NumericFormat } from './json/numeric-format.ts'
import type { LogLevel } from './log.ts'
import { parseDatabaseUrl, parseDatabaseUrls, type Server } from './postgres/hosts/server.ts'
import type { Isolation } from './tenancy/roles/isolation.ts'

/** Every setting, parsed and checked. Durations are milliseconds, sizes are bytes. */
export interface Config extends SiteRules {
  /** The PostgreSQL of DATABASE_URL; undefined: an embedded one in `dataDir`. */
  server: Server | undefined
  /** The replicas of DATABASE_READ_URLS. */
  readServers: Server[]
  readMaxLagMs: number
  dataDir: string
  /** GATEWAY_SECRET; undefined: one that the gateway makes and keeps. */
  secret: string | undefined
  /** GATEWAY_SECRET_PREVIOUS: the one that `secret` takes the place of. */
  previousSecret: string | undefined
  isolation: Isolation
  /** What new databases are copied from. */
  baseTemplate: string
  /** How PostgreSQL copies a database (CREATE DATABASE … STRATEGY). */
  databaseCopy: DatabaseCopy
  host: string
  port: number
  maxConnectionsPerPool: number
  maxTotalConnections: number
  /** Infinity: no limit. */
  maxConnectionsPerPlatform: number
  maxQueuePerDatabase: number
  poolMaxLifetimeMs: number
  poolIdleTimeoutMs: number
  poolWaitTimeoutMs: number
  connectTimeoutMs: number
  startTimeoutMs: number
  statementTimeoutMs: number
  /** Where /call looks for functions; undefined: in the search path of the database. */
  callableSchemas: string[] | undefined
  /** How numeric and bigint are written where a call does not say it. */
  numericFormat: NumericFormat
  lockTimeoutMs: number
  /** Of all of a deploy to one database. */
  deployTimeoutMs: number
  /** Whether each archive of a platform has a template database. */
  templates: boolean
  /** Databases that are deployed to at once. */
  migrateConcurrency: number
  /** Deploys that wait for that. */
  maxWaitingDeploys: number
  shutdownTimeoutMs: number
  /** How long a request may take to arrive, head and body. */
  requestTimeoutMs: number
  /** How long a client may read nothing of an answer. */
  sendTimeoutMs: number
  maxHttpConnections: number
  maxBodyBytes: number
  /** Of the rows of one call, as JSON. */
  maxResultBytes: number
  /** Of all request bodies and all answers that are not sent yet, together. */
  maxBufferedBytes: number
  archive: ArchiveLimits & { maxArchiveBytes: number }
  allowedNetworks: Network[]
  trustedProxies: Network[]
  /** Of the access `admin`; undefined: as `allowedNetworks`. */
  adminNetworks: Network[] | undefined
  /** Undefined: no platform is bound to addresses. */
  platformNetworks: PlatformNetworks | undefined
  adminToken: string | undefined
  /** Whether /v2/* and the creation of databases need a token where ADMIN_TOKEN asks for none. */
  platformTokens: 'optional' | 'required'
  /** Undefined: HTTP without TLS. */
  tls: TlsFiles | undefined
  /** How long a request that starts a job waits for its end. */
  jobAnswerMs: number
  auditRetentionDays: number
  /** What /register does with an archive older than the one in place. */
  olderArchives: 'ignore' | 'deploy'
  /** Archives of each platform that are kept for /admin/revert. */
  keptArchives: number
  storedSchemasPerPlatform: number
  logLevel: LogLevel
  /** Of settings that have no effect, or that probably are slips: a line each. */
  warnings: string[]
}

/** A setting that does not parse. The message is one line that names the setting. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

const MEBIBYTE = 1024 * 1024
const GIBIBYTE = 1024 * MEBIBYTE
const LARGEST_TIMER_SECONDS = Math.floor((2 ** 31 - 1) / 1000)

/**
 * The environment, over what a `.env` file in `folder` says.
 * @throws {ConfigError} when the file is there and cannot be read
 */
export function readEnvironment(folder: string, env: Environment = process.env): Environment {
  let text: string
  try {
    text = readFileSync(resolve(folder, '.env'), 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return env
    throw new ConfigError(`.env cannot be read: ${(error as Error).message}`)
  }
  return { ...parseEnv(text), ...env }
}

/**
 * Reads every setting from the environment; one that is absent or empty has its default.
 * @throws {ConfigError} naming the first setting that does not parse
 */
export function readConfig(env: Environment): Config {
  const known = new Set<string>()
  const text = (name: string) => {
    known.add(name)
    return env[name]?.trim() || undefined
  }

  const integer = (name: string, fallback: number, min: number, max: number) => {
    const value = text(name)
    if (value === undefined) return fallback
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN
    if (number >= min && number <= max) return number
    throw new ConfigError(`${name}: "${value}" is not a whole number from ${min} to ${max}`)
  }

  const seconds = (name: string, fallback: number, min = 1) =>
    integer(name, fallback, min, LARGEST_TIMER_SECONDS) * 1000

  const bytes = (name: string, fallback: number) => integer(name, fallback, 1, GIBIBYTE)

  const parsed = <T>(name: string, fallback: string, parse: (value: string) => T): T => {
    const value = text(name) ?? fallback
    try {
      return parse(value)
    } catch (error) {
      throw new ConfigError(`${name}: ${(error as Error).message}`)
    }
  }

  const optional = <T>(name: string, parse: (value: string) => T): T | undefined =>
    text(name) === undefined ? undefined : parsed(name, '', parse)

  const serverInParts = () => {
    const port = text('DB_PORT') === undefined ? undefined : integer('DB_PORT', 0, 1, 65_535)
    const [host, database, user] = [text('DB_HOST'), text('DB_NAME'), text('DB_USER')]
    // Spaces around the password are a part of it.
    const parts = { host, port, database, user, password: env.DB_PASSWORD }
    return parsed('DB_HOST', '', () => serverOfParts(parts))
  }

  const url = optional('DATABASE_URL', parseDatabaseUrl)
  const isInParts = DATABASE_PARTS.filter((name) => text(name) !== undefined).length > 0
  const server = url ?? (isInParts ? serverInParts() : undefined)
  const readServers = parsed('DATABASE_READ_URLS', '', parseDatabaseUrls)
  if (readServers.length > 0 && !server) {
    throw new ConfigError('DATABASE_READ_URLS: needs DATABASE_URL, whose replicas they are')
  }
  const adminIps = optional('ALLOWED_ADMIN_IPS', parseNetworks)
  const original = server ? undefined : settingOfOriginal(text)
  if (original) {
    throw new ConfigError(
      `${original}: is of the original gateway, whose PostgreSQL has to be named: set DATABASE_URL or ` +
        'DB_HOST; an embedded PostgreSQL starts without it',
    )
  }
  const maxTotalConnections = integer('MAX_TOTAL_CONNECTIONS', 200, 4, 100_000)

  const [cert, key, clientCa] = [
    text('TLS_CERT_FILE'),
    text('TLS_KEY_FILE'),
    text('TLS_CLIENT_CA_FILE'),
  ]
  if (key && !cert) throw new ConfigError('TLS_KEY_FILE: needs TLS_CERT_FILE, whose key it is')
  if (cert && !key) throw new ConfigError('TLS_CERT_FILE: needs TLS_KEY_FILE, its key')
  if (clientCa && !cert) throw new ConfigError('TLS_CLIENT_CA_FILE: needs TLS_CERT_FILE')

  const config: Omit<Config, 'warnings'> = {
    server,
    readServers,
    readMaxLagMs: seconds('DATABASE_READ_MAX_LAG_SECS', 5),
    dataDir: resolve(text('DATA_DIR') ?? 'data'),
    secret: optional('GATEWAY_SECRET', secretText),
    previousSecret: optional('GATEWAY_SECRET_PREVIOUS', secretText),
    isolation: parsed('ISOLATION', 'platform-roles', isolation),
    databaseCopy: parsed('DATABASE_COPY', 'wal_log', databaseCopy),
    baseTemplate: parsed('BASE_TEMPLATE', 'template0', databaseText),
    host: parsed('GATEWAY_HOST', '127.0.0.1', hostName),
    port: integer('GATEWAY_PORT', 9000, 0, 65_535),
    maxConnectionsPerPool: integer('MAX_CONNECTIONS_PER_POOL', 10, 2, 100_000),
    maxTotalConnections,
    maxConnectionsPerPlatform: integer('MAX_CONNECTIONS_PER_PLATFORM', Infinity, 2, 100_000),
    maxQueuePerDatabase: integer('MAX_QUEUE_PER_DATABASE', 250, 1, 1_000_000),
    poolMaxLifetimeMs: seconds('POOL_MAX_LIFETIME_SECS', 3600),
    poolIdleTimeoutMs: seconds('POOL_IDLE_TIMEOUT_SECS', 1800),
    poolWaitTimeoutMs: seconds('POOL_WAIT_TIMEOUT_SECS', 5),
    connectTimeoutMs: seconds('CONNECT_TIMEOUT_SECS', 10),
    startTimeoutMs: seconds('START_TIMEOUT_SECS', 60, 0),
    statementTimeoutMs: seconds('STATEMENT_TIMEOUT_SECS', 30),
    callableSchemas: optional('CALLABLE_SCHEMAS', schemaNames),
    numericFormat: parsed('NUMERIC_FORMAT', 'number', numericFormat),
    lockTimeoutMs: seconds('LOCK_TIMEOUT_SECS', 30),
    deployTimeoutMs: seconds('DEPLOY_TIMEOUT_SECS', 1800),
    templates: parsed('TEMPLATES', 'on', onOrOff),
    migrateConcurrency: integer('MIGRATE_CONCURRENCY', 8, 1, 1000),
    jobAnswerMs: seconds('MIGRATE_ALL_ANSWER_SECS', 240),
    maxWaitingDeploys: integer('MAX_WAITING_DEPLOYS', 1000, 0, 1_000_000),
    shutdownTimeoutMs: seconds('SHUTDOWN_TIMEOUT_SECS', 30, 0),
    requestTimeoutMs: seconds('REQUEST_TIMEOUT_SECS', 60),
    sendTimeoutMs: seconds('SEND_TIMEOUT_SECS', 60),
    maxHttpConnections: integer('MAX_HTTP_CONNECTIONS', 10_000, 1, 1_000_000),
    maxBodyBytes: bytes('MAX_BODY_BYTES', 16 * MEBIBYTE),
    maxResultBytes: bytes('MAX_RESULT_BYTES', 64 * MEBIBYTE),
    maxBufferedBytes: integer('MAX_BUFFERED_BYTES', 256 * MEBIBYTE, MEBIBYTE, 1024 * GIBIBYTE),
    archive: {
      maxArchiveBytes: bytes('MAX_ARCHIVE_BYTES', 16 * MEBIBYTE),
      maxUnpackedBytes: bytes('MAX_UNPACKED_BYTES', 64 * MEBIBYTE),
      maxEntries: integer('MAX_ARCHIVE_ENTRIES', 10_000, 1, 10_000_000),
    },
    allowedNetworks: parsed('ALLOWED_NETWORKS', '127.0.0.0/8,10.0.1.0/24', parseNetworks),
    trustedProxies: parsed('TRUSTED_PROXIES', '', parseNetworks),
    adminNetworks: optional('ADMIN_NETWORKS', parseNetworks) ?? adminIps,
    platformNetworks: optional('PLATFORM_NETWORKS', parsePlatformNetworks),
    adminToken: optional('ADMIN_TOKEN', bearerToken),
    platformTokens: parsed('PLATFORM_TOKENS', 'optional', optionalOrRequired),
    allowedOrigins: parsed('ALLOWED_ORIGINS', '', parseOrigins),
    allowedHosts: optional('ALLOWED_HOSTS', parseHosts),
    tls: cert && key ? { cert, key, clientCa } : undefined,
    olderArchives: parsed('OLDER_ARCHIVES', 'ignore', olderArchives),
    keptArchives: integer('KEPT_ARCHIVES', 20, 0, 1000),
    storedSchemasPerPlatform: integer('STORED_SCHEMAS_PER_PLATFORM', 200, 1, 100_000),
    auditRetentionDays: integer('AUDIT_RETENTION_DAYS', 365, 1, 36_500),
    logLevel: optional('LOG_LEVEL', logLevel) ?? parsed('RUST_LOG', 'info', rustLogLevel),
  }
  const useless = warnOfOriginal((name) => text(name) !== undefined)
  const warnings = useless ? [useless] : []
  const set = Object.keys(env).filter((name) => env[name]?.trim())
  for (const { name, meant } of nearMisses(set, known)) {
    // It would start an empty PostgreSQL.
    const isServer = meant === 'DATABASE_URL' || DATABASE_PARTS.some((part) => part === meant)
    if (isServer && !server) throw new ConfigError(`${name}: is no setting; is ${meant} meant?`)
    warnings.push(`${name} is no setting: is ${meant} meant?`)
  }
  // Without a host, the parts would mean one on this machine.
  const foreign = url || text('DB_HOST') ? undefined : foreignServer(set, known)
  if (foreign) {
    throw new ConfigError(
      `${foreign}: is no setting of the gateway; set DATABASE_URL to the PostgreSQL that it names, or unset it`,
    )
  }
  return { ...config, warnings }
}
