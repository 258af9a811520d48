import type { Duplex } from 'node:stream'
import postgres from 'postgres'
import type { Credentials, Server } from './hosts/server.ts'

/** A postgres.js client. Here it always stands for one connection. */
export type Sql = postgres.Sql

/**
 * Everything that the gateway sends is text in PostgreSQL's own input syntax. postgres.js would
 * rewrite some of it (timestamps to milliseconds, JSON texts as JSON strings).
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

/** What PostgreSQL says beside its answers. */
export interface Notice {
  /** WARNING, NOTICE, …, whatever the language of the messages. */
  severity: string
  code: string
  message: string
}

export interface DriverOptions {
  server: Server
  credentials: Credentials
  database: string
  connectTimeoutMs: number
  /** The socket, which the driver takes for one that is to be logged in. */
  socket: () => Promise<Duplex>
  /** The server reports a parameter of the session; an error that it throws is the first query's. */
  onParameter: (name: string, value: string) => void
  onNotification: (channel: string, payload: string) => void
  onNotice: (notice: Notice) => void
}

/** A client of postgres.js for one connection, whose socket it is given. */
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
    // A deploy sends all that it can; its default is 100.
    ...{ max_pipeline: 10_000 },
    idle_timeout: 0,
    max_lifetime: 0,
    connect_timeout: Math.ceil(options.connectTimeoutMs / 1000),
    onnotice: (notice) => options.onNotice(notice as unknown as Notice),
    onparameter: options.onParameter,
    types: TEXT_PARAMETERS as unknown as Record<string, postgres.PostgresType>,
    // Options of postgres.js that its types do not list.
    ...{ socket: options.socket, onnotify: options.onNotification },
  })
}
