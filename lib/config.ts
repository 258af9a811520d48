import { resolve } from 'node:path'
import type { ArchiveLimits } from './archive/archive.ts'
import { type Changes, compareReadings, withoutRestart } from './config/changes.ts'
import { nearMisses } from './config/near-misses.ts'
import {
  DATABASE_PARTS,
  foreignServer,
  serverOfParts,
  settingOfOriginal,
  warnOfOriginal,
} from './config/original.ts'
import {
  ConfigError,
  type Environment,
  readGroup,
  readSetting,
  textOf,
  type ValuesOf,
} from './config/setting.ts'
import {
  ADMIN_NETWORKS,
  ALL_SETTINGS,
  ALLOWED_ADMIN_IPS,
  ARCHIVE,
  DATABASE_URL,
  LOG_LEVEL,
  PARTS,
  PLAIN,
  RUST_LOG,
  SETTING_NAMES,
  TLS,
} from './config/settings.ts'
import { readSettingsFile } from './config/settings-file.ts'
import type { Network } from './http/access/networks.ts'
import { readTls, type TlsFiles } from './http/listener/tls.ts'
import type { LogLevel, LogSettings } from './log.ts'
import type { Server } from './postgres/hosts/server.ts'
import { MAIN_SERVER, MEASURES } from './servers/parse-servers.ts'

export { ConfigError } from './config/setting.ts'

/**
 * Every setting, parsed and checked. Durations are milliseconds, sizes are bytes. What each setting does
 * stands in its row of config/settings/.
 */
export interface Config extends ValuesOf<typeof PLAIN> {
  /** The PostgreSQL of DATABASE_URL; undefined: an embedded one in `dataDir`. */
  server: Server | undefined
  archive: ArchiveLimits & { maxArchiveBytes: number }
  /** Of the access `admin`; undefined: as `allowedNetworks`. */
  adminNetworks: Network[] | undefined
  /** Undefined: HTTP without TLS. */
  tls: TlsFiles | undefined
  logLevel: LogLevel
  /** Of settings that have no effect, or that probably are slips: a line each. */
  warnings: string[]
}

/**
 * The environment, over what SETTINGS_FILE, or a `.env` file in `folder`, says.
 * @throws {ConfigError} as `readSettingsFile`; a `.env` file may be missing
 */
export function readEnvironment(folder: string, env: Environment = process.env): Environment {
  return { ...readSettingsFile(folder, env), ...env }
}

/**
 * Reads every setting from the environment; one that is absent or empty has its default.
 * @throws {ConfigError} naming the first setting that does not parse
 */
export function readConfig(env: Environment): Config {
  const text = (name: string) => textOf(env, name)
  const url = readSetting(env, DATABASE_URL)
  const server = url ?? readServerInParts(env)
  const plain = readGroup(env, PLAIN)
  if (plain.readServers.length > 0 && !server) {
    throw new ConfigError('DATABASE_READ_URLS: needs DATABASE_URL, whose replicas they are')
  }
  checkServers(plain, server)
  const adminIps = readSetting(env, ALLOWED_ADMIN_IPS)
  const original = server ? undefined : settingOfOriginal(text)
  if (original) {
    throw new ConfigError(
      `${original}: is of the original gateway, whose PostgreSQL has to be named: set DATABASE_URL or ` +
        'DB_HOST; an embedded PostgreSQL starts without it',
    )
  }
  if (plain.webhookSecret !== undefined && !plain.webhookUrl) {
    throw new ConfigError('WEBHOOK_SECRET: needs WEBHOOK_URL, whose alerts it signs')
  }
  const config = {
    ...plain,
    server,
    dataDir: resolve(plain.dataDir),
    archive: readGroup(env, ARCHIVE),
    tls: readTlsFiles(env),
    adminNetworks: readSetting(env, ADMIN_NETWORKS) ?? adminIps,
    logLevel: readSetting(env, LOG_LEVEL) ?? readSetting(env, RUST_LOG) ?? 'info',
  }
  return { ...config, warnings: checkNames(env, url !== undefined, server !== undefined) }
}

/** @throws {ConfigError} if SERVERS does not name a server of another setting */
function checkServers(
  { servers, serverReplicas, serverConnections, ...places }: ValuesOf<typeof PLAIN>,
  main: Server | undefined,
): void {
  const { placement, placementLabels } = places
  const known = [MAIN_SERVER, ...MEASURES]
  const named = {
    SERVER_READ_URLS: [...serverReplicas.keys()],
    SERVER_MAX_CONNECTIONS: [...serverConnections.keys()],
    PLACEMENT: known.includes(placement) ? [] : [placement],
    PLACEMENT_LABELS: placementLabels.flatMap((one) =>
      one.server === MAIN_SERVER ? [] : one.server,
    ),
  }
  for (const [setting, names] of Object.entries(named)) {
    for (const name of names) {
      if (servers.has(name)) continue
      throw new ConfigError(`${setting}: names ${name}, which SERVERS does not have`)
    }
  }
  if (servers.size === 0 || main) return
  throw new ConfigError('SERVERS: needs DATABASE_URL, the server that has the catalog')
}

/** What the log is told of the settings. */
export function logSettings({
  logLevel,
  logFormat,
  logSuccessesPerSecond,
  otelServiceName,
  slowCallMs,
}: Config): LogSettings {
  return {
    level: logLevel,
    format: logFormat,
    maxSuccessesPerSecond: logSuccessesPerSecond,
    slowMs: slowCallMs || Infinity,
    serviceName: otelServiceName,
  }
}

const TLS_NAMES = Object.values(TLS).map(({ name }) => name)

/** The PostgreSQL of DB_HOST and its like; undefined where none of them is set. */
function readServerInParts(env: Environment): Server | undefined {
  if (DATABASE_PARTS.every((name) => textOf(env, name) === undefined)) return undefined
  // Spaces around the password are a part of it.
  const parts = { ...readGroup(env, PARTS), password: env.DB_PASSWORD }
  try {
    return serverOfParts(parts)
  } catch (error) {
    throw new ConfigError(`DB_HOST: ${(error as Error).message}`)
  }
}

function readTlsFiles(env: Environment): TlsFiles | undefined {
  const { cert, key, clientCa } = readGroup(env, TLS)
  if (key && !cert) throw new ConfigError('TLS_KEY_FILE: needs TLS_CERT_FILE, whose key it is')
  if (cert && !key) throw new ConfigError('TLS_CERT_FILE: needs TLS_KEY_FILE, its key')
  if (clientCa && !cert) throw new ConfigError('TLS_CLIENT_CA_FILE: needs TLS_CERT_FILE')
  return cert && key ? { cert, key, clientCa } : undefined
}

/** The settings that keep somebody out, which are meant in small letters too. */
const PROTECTIONS = new Set(ALL_SETTINGS.filter(({ protects }) => protects).map(({ name }) => name))

/**
 * The warnings about variables that have no effect, or are nearly settings.
 * @throws {ConfigError} for a variable by which another PostgreSQL, or a protection, is probably meant
 */
function checkNames(env: Environment, hasUrl: boolean, hasServer: boolean): string[] {
  const isSet = (name: string) => textOf(env, name) !== undefined
  const useless = warnOfOriginal(isSet)
  const warnings = useless ? [useless] : []
  const set = Object.keys(env).filter(isSet)
  for (const name of set) {
    const meant = name.toUpperCase()
    if (meant === name || !PROTECTIONS.has(meant)) continue
    throw new ConfigError(`${name}: is no setting; is ${meant} meant?`)
  }
  for (const { name, meant } of nearMisses(set, SETTING_NAMES)) {
    // It would start an empty PostgreSQL.
    const isServer = meant === 'DATABASE_URL' || DATABASE_PARTS.some((part) => part === meant)
    if (isServer && !hasServer) throw new ConfigError(`${name}: is no setting; is ${meant} meant?`)
    warnings.push(`${name} is no setting: is ${meant} meant?`)
  }
  // Without a host, the parts would mean one on this machine.
  const foreign = hasUrl || isSet('DB_HOST') ? undefined : foreignServer(set, SETTING_NAMES)
  if (foreign) {
    throw new ConfigError(
      `${foreign}: is no setting of the gateway; set DATABASE_URL to the PostgreSQL that it names, or unset it`,
    )
  }
  return warnings
}

/** Settings that were read again. */
export interface Reread extends Changes {
  /** All settings as they are to be from now on. */
  config: Config
}

/** The settings of a process, which its file may change while it runs. */
export class Settings {
  readonly #folder: string
  readonly #process: Environment
  /** What the file said when the settings in force were read; undefined: there was no `.env`. */
  #file: Environment | undefined
  readonly config: Config

  /**
   * Reads the settings.
   * @param env environment of the process; copied, so that secrets may be taken out of it
   * @param given what the file says, of a worker, whose parent has read it
   * @throws {ConfigError} naming the first setting that does not parse
   */
  constructor(folder: string, env: Environment, given?: { file: Environment | undefined }) {
    this.#folder = folder
    this.#process = { ...env }
    this.#file = given ? given.file : readSettingsFile(folder, this.#process)
    this.config = readConfig({ ...this.#file, ...this.#process })
  }

  /** What the file says of the settings in force; undefined: there was no `.env`. */
  get file(): Environment | undefined {
    return this.#file
  }

  /**
   * Reads the file again, for processes that start from now on: also what needs a restart.
   * @throws {ConfigError} as `readAgain`
   */
  takeAll(): void {
    const found = readSettingsFile(this.#folder, this.#process)
    readConfig({ ...found, ...this.#process })
    this.#file = found
  }

  /**
   * Reads the file again. What the environment of the process says cannot change.
   * @throws {ConfigError} as the constructor, and as `readTls` for files that are named anew; then
   *   nothing has changed
   */
  readAgain(): Reread {
    const before = { file: this.#file ?? {}, process: this.#process }
    const found = readSettingsFile(this.#folder, this.#process)
    if (this.#file && !found) throw new ConfigError(`${resolve(this.#folder, '.env')} is missing`)
    const after = { ...before, file: found ?? {} }
    const { tls } = readConfig({ ...after.file, ...after.process })
    // A listener stays with its protocol, and with whether it asks clients for certificates.
    const isOtherProtocol = (tls !== undefined) !== (this.config.tls !== undefined)
    const isAskedOtherwise =
      (tls?.clientCa !== undefined) !== (this.config.tls?.clientCa !== undefined)
    const changes = compareReadings(ALL_SETTINGS, before, after, ({ name, restart }) => {
      if (name === TLS.clientCa.name && isAskedOtherwise) return true
      return restart === true || (isOtherProtocol && TLS_NAMES.includes(name))
    })
    // The next reading names again what still waits for a restart.
    const file = withoutRestart(before.file, after.file, changes.restart)
    const config = readConfig({ ...file, ...this.#process })
    const isOtherTls = changes.live.some((name) => TLS_NAMES.includes(name))
    if (config.tls && isOtherTls) readTls(config.tls)
    this.#file = found && file
    return { ...changes, config }
  }
}
