import type { Duplex } from 'node:stream'
import postgres from 'postgres'
import type { Credentials, Server } from './hosts/server.ts'

/** A postgres.js client. In the gateway, each client has exactly one connection. */
export type Sql = postgres.Sql

/**
 * Parameters are sent as text in PostgreSQL's own input syntax. The default serializers of
 * postgres.js would change some of them (timestamps to milliseconds, JSON texts to JSON strings).
 */
const TEXT_PARAMETERS = {
  date: textType(1184, [1082, 1114, 1184], String),
  bytea: textType(17, [17], String),
  boolean: textType(16, [16], (text) => text === 't'),
  json: textType(114, [114, 3802], JSON.parse),
}

function textType(to: number, from: number[], parse: (text: string) => unknown) {
  return { to, from, serialize: String, parse }
}

/** A NoticeResponse of PostgreSQL. */
export interface Notice {
  /** WARNING, NOTICE, …: untranslated, whatever lc_messages is. */
  severity: string
  code: string
  message: string
  /** Routine in PostgreSQL's source code. */
  routine?: string
}

export interface DriverOptions {
  server: Server
  credentials: Credentials
  database: string
  connectTimeoutMs: number
  /** Returns a socket on which postgres.js begins with the startup packet. */
  socket: () => Promise<Duplex>
  /** Called for each ParameterStatus; an error that it throws rejects the first query. */
  onParameter: (name: string, value: string) => void
  onNotification: (channel: string, payload: string) => void
  onNotice: (notice: Notice) => void
}

/** Returns a postgres.js client for one connection over the given socket. */
export function createDriver({ server, credentials, database, ...options }: DriverOptions): Sql {
  const { user, password } = credentials
  return postgres({
    host: server.host,
    port: server.port,
    user,
    password,
    database,
    max: 1,
    ssl: false,
    fetch_types: false,
    // A deploy pipelines all its statements; the default is 100.
    ...{ max_pipeline: 10_000 },
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: Math.ceil(options.connectTimeoutMs / 1000),
    onnotice: (notice) => options.onNotice(notice as unknown as Notice),
    onparameter: options.onParameter,
    types: TEXT_PARAMETERS as unknown as Record<string, postgres.PostgresType>,
    // Options that the types of postgres.js lack.
    ...{ socket: options.socket, onnotify: options.onNotification },
  })
}
